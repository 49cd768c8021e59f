"""Explore the committed records: choose runs, see accuracy over compute, selection counts and images of a group.

Example:
    >>> from dynprune_lib.report import explore
    >>> runs = explore.runs()
    >>> chosen = explore.choose(runs, dataset="cifar10", model="small", kind=["full data", "UCB"], rate=[0, 0.5])
    >>> figure = explore.plot_accuracy(chosen)
"""

import functools
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynprune_lib.errors import SpecError, StoreError
from dynprune_lib.experiments.data import dataset_title, load_dataset
from dynprune_lib.experiments.profile import PROFILES, stated_role
from dynprune_lib.experiments.runs import RunSpec, check_choice
from dynprune_lib.experiments.selection_groups import GROUPS, group_of
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import results_dir
from dynprune_lib.report.canvas import WIDTH, finish, legend_beside, use_style, write_title
from dynprune_lib.report.figures import plot_images, plot_selection_counts
from dynprune_lib.report.frontier import measure_compute
from dynprune_lib.report.frontier_figure import draw_full_data, label_in_doublings
from dynprune_lib.report.selections import typical
from dynprune_lib.report.style import model_title, ordered, style
from dynprune_lib.report.tables import label_with_settings, run_row

LINES = ("-", ":", "--", "-.")  # of the variants of a method
CELL = ["dataset", "model", "kind", "rate", "epochs"]  # runs that differ in the seed only
IMAGES = 8  # in a row


def runs(results: str | Path | None = None) -> pd.DataFrame:
    """Return one row per recorded run on data sets as they are, evaluated on the test set.

    Left out are runs with wrong labels or rare classes, on held-out samples, with traces, with an initialisation of
    their own, or made for timings.

    Args:
        results: folder of the run records. Default: `results` in the checkout.

    Returns:
        The columns of `tabulate` and `frontier.measure_compute`, indexed by `profile` and `run`, the folder and the
        name of the record. `setting` is the data set and the net; `kind`, the method with its modifiers and settings;
        `rate`, the share of the sample passes that the run skips in training, to the nearest tenth; `has_counts`,
        whether the record came with its selection counts.

    Raises:
        StoreError: there is no record.
    """
    folder, rows = results_dir(results), []
    for profile in PROFILES:
        store = Store(folder / profile)
        for record in filter(lambda each: _is_comparable(each.spec), store.records()):
            place = {"profile": profile, "run": record.spec.name, "has_counts": store.has_selections(record.spec)}
            rows.append(place | run_row(record, stated_role(record.spec)))
    if not rows:
        raise StoreError(f"no records in {folder}: name another folder, or make some with `dynprune sweep`")
    table = measure_compute(pd.DataFrame(rows))
    per_epoch = table["passes"] / table["epochs"]
    full = per_epoch.where(table["method"] == "full").groupby([table["dataset"], table["model"]]).transform("mean")
    table["rate"] = (1 - per_epoch / full).round(1) + 0.0  # no -0.0
    table["setting"] = table["dataset"].map(dataset_title) + ", " + table["model"].map(model_title)
    table["kind"] = list(map(label_with_settings, table["method_label"], table["variant"]))
    return table.set_index(["profile", "run"])


def _is_comparable(spec: RunSpec) -> bool:
    changed = spec.label_noise or spec.validation or spec.trace or spec.alone
    return not changed and spec.imbalance == 1 and spec.init_seed is None


def choose(runs: pd.DataFrame, **chosen: Any) -> pd.DataFrame:
    """Return the runs with some values.

    Args:
        runs: a table of `runs`.
        chosen: a value, or a list of values, by the name of a column, such as `dataset`, `model`, `method`, `rate`,
            `epochs` or `kind`.

    Raises:
        SpecError: there is no such column, or no run has the values; the message then names those that exist.

    Example:
        >>> table = pd.DataFrame({"method": ["full", "ucb", "rs2"], "epochs": [16, 16, 8]})
        >>> choose(table, method=["ucb", "rs2"], epochs=16)["method"].tolist()
        ['ucb']
    """
    for column, values in chosen.items():
        check_choice("column", column, list(runs.columns))
        values = values if isinstance(values, list) else [values]
        kept = runs[runs[column].isin(values)]
        if kept.empty:
            exist = ", ".join(map(str, sorted(set(runs[column]))))
            raise SpecError(f"no chosen run has {column} {', '.join(map(str, values))}: there are {exist}")
        runs = kept
    return runs


def plot_accuracy(runs: pd.DataFrame) -> Figure:
    """Plot the mean test accuracy over compute, in epochs of full data; one panel per data set and net.

    Full data has a band, its 95 % interval.

    Args:
        runs: a table of `runs`, possibly of `choose`.
    """
    use_style()
    settings = list(runs.groupby("setting"))
    size = (WIDTH * (0.55 + 0.75 * len(settings)), 3.4)
    figure, panels = plt.subplots(1, len(settings), squeeze=False, layout="constrained", figsize=size)
    for axes, (setting, group) in zip(panels.flat, settings, strict=True):
        if (group["method"] == "full").any():
            draw_full_data(axes, group)
        _draw_methods(axes, group[group["method"] != "full"])
        axes.set(title=setting, xlabel="compute (epochs of full data)", ylabel="test accuracy (%)")
        label_in_doublings(axes)
    legend_beside(figure)
    write_title(figure, f"Test accuracy over compute\n{len(runs)} runs, means over seeds")
    return finish(figure)


def _draw_methods(axes: Axes, runs: pd.DataFrame) -> None:
    for method in ordered(runs["method"]):
        look, lines = style(method), itertools.cycle(LINES)
        group = runs[runs["method"] == method]
        for (kind, rate), curve in group.groupby(["kind", "rate"]):
            means = curve.groupby("epochs")[["full_epochs", "test_accuracy"]].mean().sort_values("full_epochs")
            drawn: dict[str, Any] = {
                "color": look.colour,
                "marker": look.marker,
                "ms": 4,
                "lw": 1,
                "label": f"{kind}, {rate:.0%}",
            }
            axes.plot(means["full_epochs"], means["test_accuracy"], next(lines), **drawn)


def selection_counts(runs: pd.DataFrame, results: str | Path | None = None) -> dict[str, np.ndarray]:
    """Return in how many epochs each sample was selected, (runs, samples) by the name of the runs.

    Args:
        runs: a table of `runs`, possibly of `choose`; of one data set and number of epochs.
        results: folder of the run records. Default: `results` in the checkout.

    Raises:
        SpecError: the runs differ in the data set or the number of epochs, or none has selection counts.
    """
    runs, counts = _with_counts(runs), {}
    for (_, model, kind, rate, _), cell in runs.groupby(CELL):
        name = f"{kind}, {rate:.0%}" if runs["rate"].nunique() > 1 else kind
        name = f"{name}, {model_title(model)}" if runs["model"].nunique() > 1 else name
        counts[name] = np.stack([_store(profile, results).selections(spec) for profile, spec in _specs(cell, results)])
    return counts


def plot_counts(runs: pd.DataFrame, results: str | Path | None = None) -> Figure:
    """Plot how many samples were selected in how many epochs, see `selection_counts`."""
    counts, epochs = selection_counts(runs, results), runs["epochs"].iloc[0]
    at_ends = {name: ((each <= 1) | (each >= epochs - 1)).mean() for name, each in counts.items()}
    text = ", ".join(f"{name} {share:.0%}" for name, share in at_ends.items())
    message = f"Samples selected in at most 1 or at least {epochs - 1} of {epochs} epochs: {text}"
    return plot_selection_counts(counts, epochs, f"{message}\n{runs['setting'].iloc[0]}, {epochs} epochs")


def plot_group(
    runs: pd.DataFrame, group: str, results: str | Path | None = None, data_dir: str | Path | None = None
) -> Figure:
    """Plot images that are in a group for every seed, with their classes.

    Args:
        runs: a table of `runs`, possibly of `choose`; the runs with selection counts differ in the seed only.
        group: one of GROUPS, see `group_of`; "sometimes" shows the samples selected in closest to half of the epochs.
        results: folder of the run records. Default: `results` in the checkout.
        data_dir: folder of the data sets. Default: see `load_dataset`.

    Raises:
        SpecError: there is no such group, or the runs are of several kinds, or their groups are not defined.
        DataError: the data set is not available.
    """
    check_choice("group", group, GROUPS)
    ((name, counts),) = _single(selection_counts(runs, results)).items()
    specs = [spec for _, spec in _specs(_with_counts(runs), results)]
    if specs[0].settings.get("period") != 1 or specs[0].settings.get("anneal_from") is not None:
        raise SpecError(f"{name} has no groups: they need a new selection in every epoch")
    groups = np.stack([group_of(*each) for each in zip(counts, specs, strict=True)])
    share = (groups == GROUPS.index(group)).all(0).mean()
    chosen, data = typical(counts, groups, IMAGES)[group], _data(specs[0].dataset, data_dir)
    images, labels = data.train.images[chosen].numpy(), [data.classes[label] for label in data.train.labels[chosen]]
    message = f"{share:.0%} of the samples are {group} samples for every seed"
    caption = (
        f"{name}, {specs[0].prune_rate:.0%}; {runs['setting'].iloc[0]}, {specs[0].epochs} epochs, n = {len(specs)}"
    )
    return plot_images({group: images}, {group: labels}, f"{message}\n{caption}")


_data = functools.lru_cache(maxsize=1)(load_dataset)  # the images of the next group are those of the same data set


def _with_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with selection counts."""
    for column in ("dataset", "epochs"):
        if runs[column].nunique() > 1:
            exist = ", ".join(map(str, sorted(set(runs[column]))))
            raise SpecError(f"the chosen runs have several values of {column} ({exist}): choose one")
    if not runs["has_counts"].any():
        raise SpecError("no chosen run has selection counts: choose(runs, has_counts=True) shows those that do")
    return runs[runs["has_counts"]]


def _single(counts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if len(counts) > 1:
        raise SpecError(f"the chosen runs are of several kinds ({'; '.join(counts)}): choose one kind, rate and net")
    return counts


def _specs(runs: pd.DataFrame, results: str | Path | None) -> list[tuple[str, RunSpec]]:
    """Return the profile and the spec of each run."""
    return [(profile, _store(profile, results).load_by_name(name).spec) for profile, name in runs.index]


def _store(profile: str, results: str | Path | None) -> Store:
    return Store(results_dir(results) / profile)
