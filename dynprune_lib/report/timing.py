"""Seconds per epoch, from runs that had their device to themselves."""

from collections.abc import Callable, Iterable

import pandas as pd

from dynprune_lib.experiments.records import RunRecord, cost_of
from dynprune_lib.report.style import style
from dynprune_lib.report.tables import name_rows

CELL = ["sampler", "rate"]


def timed_epochs(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return one row per timed epoch: columns `sampler`, `rate`, `seed` and `seconds`.

    Selection, training and recording are included, evaluation is not. The first epoch of a run is left out as a
    warm-up. Seeds are repetitions: a sweep makes all runs at one seed before any at the next, so that slow changes of
    the machine meet all methods.

    Args:
        records: records of runs that each had one and the same device to themselves.

    Raises:
        ValueError: a run shared its device, or the runs used different devices.
    """
    records = list(records)
    devices = {record.environment["device"] for record in records}
    if len(devices) != 1 or not all(record.spec.alone for record in records):
        raise ValueError(
            f"cannot compare seconds of runs on {', '.join(devices)}: each run must have the same device to itself"
            " (alone: true)"
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
    """Return the median seconds of each run relative to those of the baseline's run of the same seed.

    Args:
        records: see `timed_epochs`, with the baseline at every seed.
        baseline: its sampler and rate.

    Returns:
        One ratio per run, indexed by `sampler`, `rate` and `seed`.
    """
    medians = timed_epochs(records).groupby([*CELL, "seed"])["seconds"].median().unstack("seed")
    return (medians / medians.loc[baseline]).stack()


def timing_table(records: Iterable[RunRecord], baseline: tuple[str, float] = ("full", 0.0)) -> pd.DataFrame:
    """Return the seconds per epoch as text, one row per method and rate.

    Args:
        records: see `time_ratios`.
        baseline: its sampler and rate. Default: full data.

    Returns:
        Columns `seconds` and `relative to` the baseline, each a median with its range over epochs or repetitions, and
        `epochs timed`.
    """
    records = list(records)
    seconds = timed_epochs(records).groupby(CELL)["seconds"]
    ratios = time_ratios(records, baseline).groupby(CELL)
    table = {
        "seconds": seconds.agg(_with_range("{:.1f}")),
        f"relative to {style(baseline[0]).label}": ratios.agg(_with_range("{:.3f}")),
        "epochs timed": seconds.count(),
    }
    return name_rows(pd.DataFrame(table))


def _with_range(layout: str) -> Callable[[pd.Series], str]:
    """Return a function that formats the median of some values with their range, "14.2 (13.9 to 14.8)"."""

    def text(values: pd.Series) -> str:
        median, lowest, highest = (layout.format(value) for value in (values.median(), values.min(), values.max()))
        return median if lowest == highest else f"{median} ({lowest} to {highest})"

    return text
