"""Seconds per epoch, from runs that had their device to themselves."""

from collections.abc import Callable, Iterable

import pandas as pd

from dynprune_lib.experiments.records import RunRecord, cost_of
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


def timing_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return the seconds per epoch as text, one row per method and rate.

    Args:
        records: see `timed_epochs`, with full data at every seed.

    Returns:
        Columns `seconds` and `relative to full data`, each a median with its range over epochs or repetitions, and
        `epochs timed`. A ratio compares the medians of one repetition.
    """
    epochs = timed_epochs(records)
    seconds = epochs.groupby(CELL)["seconds"]
    medians = epochs.groupby([*CELL, "seed"])["seconds"].median().unstack("seed")
    ratios = (medians / medians.loc["full", 0.0]).stack().groupby(CELL)
    table = {
        "seconds": seconds.agg(_with_range("{:.1f}")),
        "relative to full data": ratios.agg(_with_range("{:.3f}")),
        "epochs timed": seconds.count(),
    }
    return name_rows(pd.DataFrame(table))


def _with_range(layout: str) -> Callable[[pd.Series], str]:
    """Return a function that formats the median of some values with their range, "14.2 (13.9 to 14.8)"."""

    def text(values: pd.Series) -> str:
        median, lowest, highest = (layout.format(value) for value in (values.median(), values.min(), values.max()))
        return median if lowest == highest else f"{median} ({lowest} to {highest})"

    return text
