"""Turn run records into tables: one row per run, means with confidence intervals, formatted differences."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from dynprune_lib.experiments.profile import Role, stated_role
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec, sampler_settings
from dynprune_lib.report.style import device_title, ordered, style

MODIFIERS = ("fill", "anneal_from", "random_from", "rescale")  # settings that have a column of their own


def tabulate(records: Iterable[RunRecord], role: Callable[[RunSpec], Role] = stated_role) -> pd.DataFrame:
    """Return one row per run, sorted by rate, method, variant and seed.

    Args:
        records: the run records.
        role: function from a spec to its role, such as `Experiment.role`. Default: the sampler at its rate.

    Returns:
        `method` and `rate`, the role of the run; `settings`, a dict of those that differ from the defaults, and
        `variant`, the same as text; `modifier`, such as "annealed"; `group` of samples, if any; `test_accuracy` in %
        after the last epoch; `passes`, samples that went forward and backward in training, and `forward_only`;
        `scoring_passes` and `scoring_forward_only`, the same for scoring before training; `seconds` of training;
        `chosen_by_rule`, see the function; and the fields `dataset`, `model`, `epochs`, `seed`, `learning_rate`,
        `label_noise`, `imbalance`, `device`, and the flags `own_length` and `annealed`.
    """
    rows = [run_row(record, role(record.spec)) for record in records]
    return pd.DataFrame(rows).sort_values(["rate", "method", "variant", "seed"], ignore_index=True)


def run_row(record: RunRecord, role: Role) -> dict[str, Any]:
    """Return the row of a run in `tabulate`."""
    spec, cost, scoring = record.spec, record.training, record.scoring
    return {
        "dataset": spec.dataset,
        "method": role.method,
        "settings": (settings := varied_settings(spec)),
        "variant": as_text(settings),
        "group": spec.settings.get("group", ""),
        "own_length": spec.settings.get("fill") is False,
        "annealed": spec.settings.get("anneal_from") is not None,
        "modifier": modifier(spec),
        "model": spec.model,
        "epochs": spec.epochs,
        "rate": role.rate,
        "seed": spec.seed,
        "learning_rate": spec.learning_rate,
        "label_noise": spec.label_noise,
        "imbalance": spec.imbalance,
        "test_accuracy": 100 * record.test_accuracy,
        "passes": cost.backward_passes,
        "forward_only": cost.forward_passes - cost.backward_passes,
        "scoring_passes": scoring.backward_passes,
        "scoring_forward_only": scoring.forward_passes - scoring.backward_passes,
        "seconds": cost.seconds,
        "chosen_by_rule": chosen_by_rule(record),
        "device": device_title(record.environment["device"]),
    }


def chosen_by_rule(record: RunRecord) -> float:
    """Return the share of the training set that the sampler's own rule keeps, mean over the epochs in which it selects;
    NaN for a ranking, whose prune rate decides, and where it was not recorded."""
    wanted = record.left_out.wanted if record.left_out else []
    # the epochs of SeTa from `random_from` on have no rule, but old records repeat the share of the epoch before
    return float(pd.Series(wanted[: record.spec.settings.get("random_from")], dtype=float).mean())


def learning_curves(records: Iterable[RunRecord], rate: float, role: Callable[[RunSpec], Role]) -> pd.DataFrame:
    """Return `method`, `seed`, `epoch`, `test_accuracy` in % and `passes` so far, with scoring before training, of each
    epoch of the full-data runs and of the runs at one rate."""
    rows = []
    for record in records:
        run = role(record.spec)
        if run.rate not in (0, rate):
            continue
        passes = record.scoring.backward_passes
        for number, epoch in enumerate(record.epochs, start=1):
            passes += epoch.backward_passes
            rows.append((run.method, record.spec.seed, number, 100 * epoch.test_accuracy, passes))
    return pd.DataFrame(rows, columns=["method", "seed", "epoch", "test_accuracy", "passes"])


def varied_settings(spec: RunSpec) -> dict[str, Any]:
    """Return the settings of a run that differ from the defaults of its method, and its score if that does."""
    defaults = {"rescore": RunSpec.rescore, "score": RunSpec.score} | sampler_settings(spec.sampler)
    values = {"rescore": spec.rescore, "score": spec.score} | spec.settings
    return {name: value for name, value in values.items() if value != defaults[name]}


def as_text(settings: dict[str, Any]) -> str:
    """Return settings in one line, such as "score = entropy, c = 0.0"."""
    return ", ".join(f"{name} = {value}" for name, value in settings.items())


def modifier(spec: RunSpec) -> str:
    """Return what a run adds to its method or removes from it, such as "own length, annealed"; empty if nothing."""
    settings, defaults = spec.settings, sampler_settings(spec.sampler)
    modifiers = ["own length"] if settings.get("fill") is False else []
    if settings.get("anneal_from") is not None:
        modifiers.append("annealed")
    if settings.get("random_from") is not None:
        modifiers.append("random at the end")
    if settings.get("rescale") != defaults.get("rescale"):
        modifiers.append("rescaled" if settings["rescale"] else "not rescaled")
    return ", ".join(modifiers)


def label_runs(runs: pd.DataFrame) -> pd.Series:
    """Return the label of the method of each run, with its modifiers.

    Example:
        >>> runs = {"method": ["ucb", "seta"], "modifier": ["annealed", "own length"], "own_length": [False, True]}
        >>> label_runs(pd.DataFrame(runs)).tolist()
        ['UCB, annealed', 'SeTa, own length']
    """
    labels = runs["method"].map(lambda method: style(method).label)
    labels = labels.where(~runs["own_length"], labels.str.removesuffix(" (fixed length)"))
    return labels + runs["modifier"].map(lambda modifier: modifier and f", {modifier}")


def label_with_settings(label: str, settings: dict[str, Any]) -> str:
    """Return the label of a run with the settings that no modifier covers.

    Example:
        >>> label_with_settings("UCB, annealed", {"c": 0.0, "anneal_from": 14})
        'UCB, annealed, c = 0.0'
    """
    others = as_text({name: value for name, value in settings.items() if name not in MODIFIERS})
    return f"{label}, {others}" if others else label


def half_interval(values: Iterable[float]) -> float:
    """Return half the width of the 95 % confidence interval of the mean (Student's t); NaN for a single value."""
    values = np.asarray(list(values), dtype=float)
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def format_mean(values: Iterable[float], digits: int = 1) -> str:
    """Format the mean and the half-width of its 95 % interval; the mean alone for a single value.

    Example:
        >>> format_mean([87.0, 88.0, 89.0]), format_mean([87.0])
        ('88.0 ± 2.5', '87.0')
    """
    values = list(values)
    ci95 = half_interval(values)
    mean = f"{np.mean(values):.{digits}f}"
    return mean if np.isnan(ci95) else f"{mean} ± {ci95:.{digits}f}"


def accuracy_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the test accuracy in % with its 95 % interval as text, one row per method and one column per rate."""
    cells = runs.groupby(["method", "rate"])["test_accuracy"].agg(format_mean).unstack(fill_value="")
    cells = name_rows(cells).rename(columns=lambda rate: f"{rate:.0%}" if rate else "none")
    return cells.rename_axis(columns="compute saved")


def name_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Label the methods, the first level of the index, and sort them in the order of all figures."""
    order = {method: place for place, method in enumerate(ordered(table.index.get_level_values(0)))}
    table = table.sort_index(level=0, key=lambda names: names.map(order), sort_remaining=False, kind="stable")
    return table.rename(index=lambda method: style(method).label, level=0)


def markdown(table: pd.DataFrame) -> list[str]:
    """Return the lines of a Markdown table of texts, without the index."""
    rows = [list(table.columns), ["---"] * table.shape[1], *table.values.tolist()]
    return [f"| {' | '.join(row)} |" for row in rows]


def costs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the cost of each method at each rate, relative to a full-data run: passes of `training` and `scoring`,
    `forward_only` passes of both, and their `total`, where a forward pass counts as a third."""
    full = runs.loc[runs["method"] == "full", "passes"].mean()
    counted = ["passes", "scoring_passes", "forward_only", "scoring_forward_only"]
    means = runs.groupby(["method", "rate"], as_index=False)[counted].mean()
    training, scoring, forward, of_scoring = (means[name] / full for name in counted)
    shares = means[["method", "rate"]].assign(training=training, scoring=scoring, forward_only=forward + of_scoring)
    return shares.assign(total=shares["training"] + shares["scoring"] + shares["forward_only"] / 3)


def runs_until_it_pays(costs: pd.DataFrame) -> pd.Series:
    """Return how many runs must share their scores before scoring and training cost less than full data.

    Example:
        >>> runs_until_it_pays(pd.DataFrame({"training": [0.5, 0.5, 0.9], "total": [0.9, 1.0, 2.0]})).tolist()
        [1, 2, 12]
    """
    # (total - training) / n + training < 1
    return np.floor((costs["total"] - costs["training"]) / (1 - costs["training"]) + 1e-9).astype(int) + 1


def format_differences(differences: pd.DataFrame) -> pd.Series:
    """Format the columns `mean` and `ci95` as text, such as "+0.5 ± 0.3"; a single seed has no interval."""
    intervals = ["" if np.isnan(ci95) else f" ± {ci95:.1f}" for ci95 in differences["ci95"]]
    texts = [f"{mean:+.1f}{interval}" for mean, interval in zip(differences["mean"], intervals, strict=True)]
    return pd.Series(texts, index=differences.index, dtype=object)
