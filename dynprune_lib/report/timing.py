"""Seconds per epoch, from runs that had their device to themselves."""

from collections.abc import Iterable

import pandas as pd

from dynprune_lib.experiments.records import RunRecord, cost_of
from dynprune_lib.report.style import style
from dynprune_lib.report.tables import name_rows

CELL = ["sampler", "rate"]


def timed_epochs(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return `sampler`, `rate`, `seed` and `seconds`, without evaluation, of each epoch but the first, a warm-up;
    ValueError if a run shared its device or the runs used different ones."""
    records = list(records)
    devices = {record.environment["device"] for record in records}
    if len(devices) != 1 or not all(record.spec.alone for record in records):
        raise ValueError(
            f"cannot compare seconds on {', '.join(devices)}: each run must be alone on the same device (alone: true)"
        )
    rows = [
        (record.spec.sampler, record.spec.prune_rate, record.spec.seed, cost_of([epoch]).seconds)
        for record in records
        for epoch in record.epochs[1:]
    ]
    return pd.DataFrame(rows, columns=[*CELL, "seed", "seconds"])


def epoch_seconds(records: Iterable[RunRecord]) -> pd.Series:
    """Return the median seconds per epoch over epochs and seeds, indexed by (sampler, rate), see `timed_epochs`."""
    return timed_epochs(records).groupby(CELL)["seconds"].median()


def time_ratios(records: Iterable[RunRecord], baseline: tuple[str, float]) -> pd.Series:
    """Return the median seconds of each run relative to those of the baseline, a (sampler, rate), at the same seed."""
    medians = timed_epochs(records).groupby([*CELL, "seed"])["seconds"].median().unstack("seed")
    return (medians / medians.loc[baseline]).stack()


def timing_table(records: Iterable[RunRecord], baseline: tuple[str, float] = ("full", 0.0)) -> pd.DataFrame:
    """Return as text the median seconds per epoch with their range over epochs, and relative to a (sampler, rate) with
    their range over seeds."""
    records = list(records)
    seconds = timed_epochs(records).groupby(CELL)["seconds"]
    ratios = time_ratios(records, baseline).groupby(CELL)
    table = {
        "seconds": seconds.agg(_with_range, digits=1),
        f"relative to {style(baseline[0]).label}": ratios.agg(_with_range, digits=3),
        "epochs timed": seconds.count(),
    }
    return name_rows(pd.DataFrame(table))


def _with_range(values: pd.Series, digits: int) -> str:
    """Format the median of some values with their range: 14.2 (13.9 to 14.8)."""
    median, lowest, highest = (f"{each:.{digits}f}" for each in (values.median(), values.min(), values.max()))
    return median if lowest == highest else f"{median} ({lowest} to {highest})"
