"""From run records to tables: one row a run, means with their intervals, differences paired by seed."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from dynprune_lib.looks import LOOKS
from dynprune_lib.runs import RunRecord, RunSpec, sampler_settings

VARIED = {"score", "rescore"}  # fields of a spec, beside the settings, that make a variant of a method
WHERE = ("device", "precision", "threads", "jobs")  # seconds of runs that differ in one of these are not comparable


def tabulate(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row a run, by method, rate, variant and seed.

    Columns: `method`; `variant`, what differs from the method's defaults; `model`; `rate`, the share of the sample
    passes that is saved, nominally; `seed`; `test_accuracy` in % (of the last epoch); `passes`, samples that went forward and
    backward in the training; `forward_only`, samples that went forward only, in the training; `scoring_passes` and
    `scoring_forward_only`, the same of the scoring before it; `seconds` and `scoring_seconds`; `where`, the device and
    how it was shared. Full data in fewer epochs than the longest full run is a method of its own, `fewer-epochs`.
    """
    records = list(records)
    epochs = max((record.spec.epochs for record in records if record.spec.sampler == "full"), default=0)
    rows = [_row(record, epochs) for record in records]
    return pd.DataFrame(rows).sort_values(["rate", "method", "variant", "seed"], ignore_index=True)


def _row(record: RunRecord, epochs: int) -> dict[str, Any]:
    spec, cost, scoring = record.spec, record.training, record.scoring
    is_short = spec.sampler == "full" and spec.epochs < epochs
    return {
        "method": "fewer-epochs" if is_short else spec.sampler,
        "variant": variant(spec),
        "model": spec.model,
        "rate": round(1 - spec.epochs / epochs, 1) if is_short else spec.prune_rate,
        "seed": spec.seed,
        "test_accuracy": 100 * record.test_accuracy,
        "passes": cost.backward_passes,
        "forward_only": cost.forward_passes - cost.backward_passes,
        "scoring_passes": scoring.backward_passes,
        "scoring_forward_only": scoring.forward_passes - scoring.backward_passes,
        "seconds": cost.seconds,
        "scoring_seconds": scoring.seconds,
        "where": ", ".join(str(_where(record)[name]) for name in WHERE),
    }


def _where(record: RunRecord) -> dict[str, Any]:
    return {"precision": record.spec.precision} | record.environment


def variant(spec: RunSpec) -> str:
    """What differs from the defaults of the method: `c = 0.0`, `score = entropy`; empty if nothing does."""
    usual = {each.name: each.default for each in fields(RunSpec)} | sampler_settings(spec.sampler)
    values = {name: getattr(spec, name) for name in sorted(VARIED)} | spec.settings
    return ", ".join(f"{name} = {value}" for name, value in values.items() if value != usual[name])


def half_interval(values: Iterable[float]) -> float:
    """Half the width of the 95 % confidence interval of the mean (Student's t); NaN for a single value."""
    values = np.asarray(list(values), dtype=float)
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def format_mean(values: Iterable[float], digits: int = 1) -> str:
    """`mean ± half of the 95 % interval`, or the mean alone for a single value."""
    values = list(values)
    half = half_interval(values)
    mean = f"{np.mean(values):.{digits}f}"
    return mean if np.isnan(half) else f"{mean} ± {half:.{digits}f}"


def accuracy_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean test accuracy in % with its 95 % interval: one row a method, one column a rate."""
    cells = runs.groupby(["method", "rate"])["test_accuracy"].agg(format_mean).unstack(fill_value="")
    return name_rows(cells).rename(columns=lambda rate: f"{rate:.0%}" if rate else "none").rename_axis(columns="saved")


def name_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its methods in the order of all figures, and by the names that they have there."""
    methods = [method for method in LOOKS if method in table.index.get_level_values(0)]
    return table.reindex(methods, level=0 if table.index.nlevels > 1 else None).rename(
        index={method: LOOKS[method].label for method in methods}
    )


def differences(runs: pd.DataFrame, others: pd.DataFrame, by: str = "rate") -> pd.DataFrame:
    """By how many points of accuracy `runs` are above `others`, at each value of `by` that both have, paired by seed:
    columns mean, half (of the 95 % interval), n. Each side has one run for a value and a seed."""
    one, two = (side.set_index([by, "seed"])["test_accuracy"] for side in (runs, others))
    return (one - two).dropna().groupby(by, sort=False).agg(mean="mean", half=half_interval, n="count")


def paired_differences(runs: pd.DataFrame, method: str, other: str) -> pd.DataFrame:
    """By how many points of accuracy `method` is above `other` at each rate that both have: see `differences`."""
    return differences(*(runs[runs["method"] == name] for name in (method, other)))


def against_full(runs: pd.DataFrame, method: str) -> pd.DataFrame:
    """By how many points of accuracy `method` is above full data at each of its rates: see `differences`."""
    full = runs[runs["method"] == "full"].set_index("seed")["test_accuracy"]
    found = runs[runs["method"] == method]
    return differences(found, found.assign(test_accuracy=found["seed"].map(full)))


def comparable(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs whose seconds can be compared: those made where the first of the full-data runs was."""
    where = runs.loc[runs["method"] == "full", "where"]
    return runs[runs["where"] == where.iloc[0]]


def describe(found: pd.DataFrame) -> str:
    """`+0.5 ± 0.3 points at 30%, ...`, of accuracy; the interval is left out where there is a single seed."""
    halves = ["" if np.isnan(half) else f" ± {half:.1f}" for half in found["half"]]
    places = [f"{place:.0%}" if isinstance(place, float) else f"{place}" for place in found.index]
    rows = zip(places, found["mean"], halves, strict=True)
    return ", ".join(f"{mean:+.1f}{half} points at {place}" for place, mean, half in rows) or "not measured"
