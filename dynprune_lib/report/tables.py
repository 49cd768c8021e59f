"""From run records to tables: one row a run, means with their intervals, differences paired by seed."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from dynprune_lib.experiments.profile import FEWER_EPOCHS, Role, stated_role
from dynprune_lib.experiments.records import RunRecord, cost_of
from dynprune_lib.experiments.runs import RunSpec, sampler_settings
from dynprune_lib.report.style import ordered, style

VARIED = {"score", "rescore"}  # fields of a spec, beside the settings, that make a variant of a method


def tabulate(records: Iterable[RunRecord], role: Callable[[RunSpec], Role] = stated_role) -> pd.DataFrame:
    """Return one row per run, sorted by rate, method, variant and seed.

    Args:
        records: of the runs.
        role: function of a spec that returns its role, such as `Experiment.role`. Default: the sampler at its rate.

    Returns:
        Columns `dataset`; `method` and `rate`, the role of the run; `variant`, what differs from the defaults of the
        method; `way`, its modifiers; `model`; `epochs`; `seed`; `test_accuracy` in % after the last epoch; `passes`,
        samples that went forward and backward in training; `forward_only`, samples that went only forward in training;
        `scoring_passes` and `scoring_forward_only`, the same for the scoring before training; `seconds` of training.
    """
    rows = [_row(record, role(record.spec)) for record in records]
    return pd.DataFrame(rows).sort_values(["rate", "method", "variant", "seed"], ignore_index=True)


def _row(record: RunRecord, role: Role) -> dict[str, Any]:
    spec, cost, scoring = record.spec, record.training, record.scoring
    return {
        "dataset": spec.dataset,
        "method": role.method,
        "variant": variant(spec),
        "way": way(spec),
        "model": spec.model,
        "epochs": spec.epochs,
        "rate": role.rate,
        "seed": spec.seed,
        "test_accuracy": 100 * record.test_accuracy,
        "passes": cost.backward_passes,
        "forward_only": cost.forward_passes - cost.backward_passes,
        "scoring_passes": scoring.backward_passes,
        "scoring_forward_only": scoring.forward_passes - scoring.backward_passes,
        "seconds": cost.seconds,
    }


def learning_curves(
    records: Iterable[RunRecord],
    rate: float,
    epoch_seconds: pd.Series,
    role: Callable[[RunSpec], Role] = stated_role,
) -> pd.DataFrame:
    """Return one row per epoch of the runs on full data and of those at one rate.

    Args:
        records: of the runs.
        rate: of the pruned runs.
        epoch_seconds: of the function of that name.
        role: see `tabulate`.

    Returns:
        Columns `method`, `seed`, `epoch`, `test_accuracy` in %, and `passes` and `seconds` (NaN for what was not timed)
        up to the end of the epoch, including the scoring before training.
    """
    rows = []
    for record in records:
        run = role(record.spec)
        if run.rate not in (0, rate):
            continue
        each = epoch_seconds.get((record.spec.sampler, record.spec.prune_rate), np.nan)
        passes, seconds = record.scoring.backward_passes, record.scoring.seconds
        for number, epoch in enumerate(record.epochs, start=1):
            passes += epoch.backward_passes
            seconds += each
            rows.append((run.method, record.spec.seed, number, 100 * epoch.test_accuracy, passes, seconds))
    return pd.DataFrame(rows, columns=["method", "seed", "epoch", "test_accuracy", "passes", "seconds"])


def epoch_seconds(records: Iterable[RunRecord]) -> pd.Series:
    """Seconds of an epoch by (sampler, prune rate), with selecting and recording inside and evaluation outside: the
    median over the epochs but the first, which warms up, and over the seeds.

    Raises:
        ValueError: a run was not alone on its device, or they were made on different ones.
    """
    records = list(records)
    devices = {record.environment["device"] for record in records}
    if len(devices) != 1 or not all(record.spec.alone for record in records):
        raise ValueError(f"seconds count for runs that had one device alone, not for these, on {', '.join(devices)}")
    rows = [
        (record.spec.sampler, record.spec.prune_rate, cost_of([epoch]).seconds)
        for record in records
        for epoch in record.epochs[1:]
    ]
    return pd.DataFrame(rows, columns=["sampler", "rate", "seconds"]).groupby(["sampler", "rate"])["seconds"].median()


def speed_up(runs: pd.DataFrame, epoch_seconds: pd.Series) -> pd.Series:
    """How many times as fast as the full-data run each of the `runs` is, by the seconds of its epochs: a row each, NaN
    for what was not timed."""
    sampler = runs["method"].replace(FEWER_EPOCHS, "full")
    rate = runs["rate"].where(sampler != "full", 0.0)
    seconds = runs["epochs"] * epoch_seconds.reindex(pd.MultiIndex.from_arrays([sampler, rate])).to_numpy()
    return seconds[runs["method"] == "full"].mean() / seconds


def variant(spec: RunSpec) -> str:
    """What differs from the defaults of the method: `c = 0.0`, `score = entropy`; empty if nothing does."""
    usual = {each.name: each.default for each in fields(RunSpec)} | sampler_settings(spec.sampler)
    values = {name: getattr(spec, name) for name in sorted(VARIED)} | spec.settings
    return ", ".join(f"{name} = {value}" for name, value in values.items() if value != usual[name])


def way(spec: RunSpec) -> str:
    """What is added to a rule of selection, or taken from it: `annealed`, `random at the end`, `rescaled`, `not
    rescaled`; empty where nothing is."""
    settings, usual = spec.settings, sampler_settings(spec.sampler)
    ways = []
    if settings.get("anneal_from") is not None:
        ways.append("annealed")
    if settings.get("random_from") is not None:
        ways.append("random at the end")
    if settings.get("rescale") != usual.get("rescale"):
        ways.append("rescaled" if settings["rescale"] else "not rescaled")
    return ", ".join(ways)


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
    """The table with its methods, the first level of its index, in the order and by the names of all figures."""
    order = {method: place for place, method in enumerate(ordered(table.index.get_level_values(0)))}
    table = table.sort_index(level=0, key=lambda names: names.map(order), sort_remaining=False, kind="stable")
    return table.rename(index=lambda method: style(method).label, level=0)


def differences(runs: pd.DataFrame, others: pd.DataFrame, by: str | list[str] = "rate") -> pd.DataFrame:
    """By how many points of accuracy `runs` are above `others`, at each value of `by` (a column, or several) that both
    have, paired by seed: columns mean, half (of the 95 % interval), n. Each side has one run for a value and a seed."""
    keys = [by] if isinstance(by, str) else by
    one, two = (side.set_index([*keys, "seed"])["test_accuracy"] for side in (runs, others))
    return (one - two).dropna().groupby(by, sort=False).agg(mean="mean", half=half_interval, n="count")


def paired_differences(runs: pd.DataFrame, method: str, other: str) -> pd.DataFrame:
    """By how many points of accuracy `method` is above `other` at each rate that both have: see `differences`."""
    return differences(*(runs[runs["method"] == name] for name in (method, other)))


def compare(runs: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """The paired differences of several pairs of methods, one below the other: a row a pair and rate, named for them,
    with the `rate` as a column too."""
    tables = []
    for method, other in pairs:
        found = paired_differences(runs, method, other).reset_index()
        name = f"{style(method).label} - {style(other).label}"
        tables.append(found.set_index(found["rate"].map(lambda rate, name=name: f"{name}, {rate:.0%}")))
    return pd.concat(tables)


def against_full(runs: pd.DataFrame, method: str) -> pd.DataFrame:
    """By how many points of accuracy `method` is above full data at each of its rates: see `differences`."""
    return against(runs[runs["method"] == "full"], runs[runs["method"] == method])


def against_full_alike(runs: pd.DataFrame, method: str) -> pd.DataFrame:
    """By how many points of accuracy `method` is above full data of the same data set, net and number of epochs: a row
    for each of these, with the columns dataset, model, epochs, mean, half, n; see `differences`."""
    is_full = runs["method"] == "full"
    keys = ["dataset", "model", "epochs"]
    return differences(runs[runs["method"] == method], runs[is_full], by=keys).sort_index().reset_index()


def change_with_length(runs: pd.DataFrame, method: str) -> pd.DataFrame:
    """By how many points the distance of `method` from full data of as many epochs is above that in the shortest of the
    trainings of one data set and net, paired by seed: a row for each longer one, by epochs, columns mean, half, n."""
    is_full = runs["method"] == "full"
    mine, full = (
        side.set_index(["epochs", "seed"])["test_accuracy"] for side in (runs[runs["method"] == method], runs[is_full])
    )
    distance = (mine - full).dropna().reset_index()
    is_shortest = distance["epochs"] == distance["epochs"].min()
    return against(distance[is_shortest], distance[~is_shortest], by="epochs")


def against(plain: pd.DataFrame, runs: pd.DataFrame, by: str = "rate") -> pd.DataFrame:
    """By how many points of accuracy `runs` are above the one run of `plain` that has their seed: see `differences`."""
    accuracy = plain.set_index("seed")["test_accuracy"]
    return differences(runs, runs.assign(test_accuracy=runs["seed"].map(accuracy)), by)


def costs(runs: pd.DataFrame) -> pd.DataFrame:
    """What methods cost at every rate, in passes of a full-data run: `training` and `scoring` before it forward and
    backward, `forward_only` the passes without a way back, in either; `total` all of them, a forward pass for a third
    of a whole one."""
    full = runs.loc[runs["method"] == "full", "passes"].mean()
    means = runs.groupby(["method", "rate"], as_index=False)[
        ["passes", "scoring_passes", "forward_only", "scoring_forward_only"]
    ].mean()
    shares = pd.DataFrame(
        {
            "method": means["method"],
            "rate": means["rate"],
            "training": means["passes"] / full,
            "scoring": means["scoring_passes"] / full,
            "forward_only": (means["forward_only"] + means["scoring_forward_only"]) / full,
        }
    )
    return shares.assign(total=shares["training"] + shares["scoring"] + shares["forward_only"] / 3)


def variant_differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Of each variant from its method as it is: a row a variant, columns mean, half, n and the method's `colour`."""
    tables = []
    for method in ordered(runs["method"]):
        mine = runs[runs["method"] == method]
        variants, plain = mine[mine["variant"] != ""], mine[mine["variant"] == ""]
        if len(variants):
            found = against(plain, variants, by="variant")
            names = [f"{style(method).label}, {name}" for name in found.index]
            tables.append(found.set_index(pd.Index(names)).assign(colour=style(method).colour))
    return pd.concat(tables)


def variants_against(runs: pd.DataFrame, other: str) -> pd.DataFrame:
    """The bandits, as they are and in every variant that makes no more passes of any kind, against `other` as it is."""
    plain = runs[(runs["method"] == other) & (runs["variant"] == "")]
    same = runs[(runs["passes"] <= plain["passes"].max()) & (runs["forward_only"] == 0)]
    same = same[same["method"].isin(["ucb", "epsilon-greedy"])]
    names = same["method"].map(lambda method: style(method).label) + same["variant"].map(
        lambda name: f", {name}" if name else ""
    )
    return against(plain, same.assign(name=names), by="name")


def rates_without_loss(lost: dict[str, pd.DataFrame], margin: float = 1.0) -> pd.Series:
    """For each method, from its differences to full data, the highest rate up to which none is below zero by more than
    its interval, nor (our choice: a wide interval hides a loss) by more than `margin` points; 0 if there is none."""
    highest = {}
    for method, found in lost.items():
        holds = ((found["mean"] + found["half"] >= 0) & (found["mean"] >= -margin)).sort_index().cummin()
        highest[method] = holds.index[holds].max() if holds.any() else 0.0
    return pd.Series(highest)


def describe(found: pd.DataFrame) -> str:
    """`+0.5 ± 0.3 points at 30%, ...`, of accuracy, or `name: +0.5 ± 0.3` where rows have names; the interval is left
    out where there is a single seed."""
    halves = ["" if np.isnan(half) else f" ± {half:.1f}" for half in found["half"]]
    rows = [(place, f"{mean:+.1f}{half}") for place, mean, half in zip(found.index, found["mean"], halves, strict=True)]
    named = [
        f"{place}: {value}" if isinstance(place, str) else f"{value} points at {place:.0%}" for place, value in rows
    ]
    return ", ".join(named) or "not measured"
