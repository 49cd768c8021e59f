"""Explore the committed records: accuracy over compute, selection counts, and images of a group.

Each plot takes a table of `runs`, and the values of the runs to show by column, see `choose`.

Example:
    >>> from dynprune_lib.report import explore
    >>> runs = explore.runs()
    >>> figure = explore.plot(runs, dataset="cifar10", model="small", kind=["full data", "UCB"], rate=[0, 0.5])
"""

import html
import io
import itertools
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynprune_lib.errors import DynpruneError, SpecError, StoreError
from dynprune_lib.experiments.data import ImageData, dataset_title, load_dataset
from dynprune_lib.experiments.profile import PROFILES, stated_role
from dynprune_lib.experiments.runs import check_choice
from dynprune_lib.experiments.selection_groups import GROUPS, group_of
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import results_dir
from dynprune_lib.report.canvas import WIDTH
from dynprune_lib.report.figures import plot_examples, plot_selection_counts
from dynprune_lib.report.frontier import measure_compute
from dynprune_lib.report.over_compute import plot_over_compute
from dynprune_lib.report.selections import histogram, typical
from dynprune_lib.report.style import model_title, ordered, style
from dynprune_lib.report.tables import label_with_settings, run_row

LINES = ("-", ":", "--", "-.")  # of the variants of a method
IMAGES = 8  # in a row
FIRST = ["UCB", "ε-greedy", "dynamic random"]  # the methods that the menus begin with: the paper's
WIDE = {"layout": {"width": "28em"}, "style": {"description_width": "8em"}}


def runs(results: str | Path | None = None) -> pd.DataFrame:
    """Return one row per recorded run on an unchanged data set, evaluated on the test set.

    Runs with traces, with an initialisation of their own, or made for timings are left out too.

    Args:
        results: folder of the run records. Default: `results` in the checkout.

    Returns:
        The columns of `tabulate` and `frontier.measure_compute`, indexed by `profile` and `run`, the name of the
        record. `setting` is the data set and the net; `kind` the method with its modifiers and settings; `rate` the
        share of sample passes skipped in training, to the nearest tenth; `has_counts` whether `store` has the selection
        counts of `spec`.

    Raises:
        StoreError: there is no record.
    """
    folder = results_dir(results)
    rows = [row for profile in PROFILES for row in _rows(Store(folder / profile))]
    if not rows:
        raise StoreError(f"no records in {folder}: use another folder, or run `dynprune sweep`")
    table = measure_compute(pd.DataFrame(rows))
    per_epoch = table["passes"] / table["epochs"]
    full = per_epoch.where(table["method"] == "full").groupby([table["dataset"], table["model"]]).transform("mean")
    table["rate"] = (1 - per_epoch / full).round(1) + 0.0  # no -0.0
    table["setting"] = table["dataset"].map(dataset_title) + ", " + table["model"].map(model_title)
    table["kind"] = list(map(label_with_settings, table["method_label"], table["settings"]))
    return table.set_index(["profile", "run"])


def _rows(store: Store) -> Iterator[dict[str, Any]]:
    for record in store.records():
        spec = record.spec
        is_special = spec.label_noise or spec.validation or spec.trace or spec.alone or spec.init_seed is not None
        if not is_special and spec.imbalance == 1:
            place = {"profile": store.folder.name, "run": spec.name, "has_counts": store.has_selections(spec)}
            yield place | run_row(record, stated_role(spec)) | {"store": store, "spec": spec}


def choose(runs: pd.DataFrame, **chosen: Any) -> pd.DataFrame:
    """Return the runs with a value, or one of a list of values, in each of some columns.

    Raises:
        SpecError: there is no such column, or no run has the values; the message names those that exist.

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


def plot(runs: pd.DataFrame, **chosen: Any) -> Figure:
    """Plot the mean test accuracy over compute, one panel per data set and net; full data has a 95 % band."""
    runs = choose(runs, **chosen)
    panels = dict(iter(runs.groupby("setting")))
    title = f"Test accuracy over compute\n{len(runs)} runs, means over seeds"
    return plot_over_compute(panels, title, WIDTH * (0.55 + 0.75 * len(panels)), _draw_methods)


def _draw_methods(axes: Axes, runs: pd.DataFrame) -> None:
    for method in ordered(runs["method"]):
        look, lines = style(method), itertools.cycle(LINES)
        for (kind, rate), curve in runs[runs["method"] == method].groupby(["kind", "rate"]):
            means = curve.groupby("epochs")[["full_epochs", "test_accuracy"]].mean().sort_values("full_epochs")
            drawn = look.line | {"label": f"{kind}, {rate:.0%}", "linestyle": next(lines), "ms": 4}
            axes.plot(means["full_epochs"], means["test_accuracy"], **drawn)


def plot_counts(runs: pd.DataFrame, **chosen: Any) -> Figure:
    """Plot how many samples were selected in how many epochs, mean over seeds.

    Raises:
        SpecError: the runs differ in the data set or the number of epochs, or none has selection counts.
    """
    runs = choose(runs, **chosen)
    counts, first = _counts(runs), runs.iloc[0]
    title = f"How often each sample was selected\n{first['setting']}, {first['epochs']} epochs"
    return plot_selection_counts(histogram(counts, first["epochs"]), title)


def plot_group(runs: pd.DataFrame, group: str, **chosen: Any) -> Figure:
    """Plot images that are in one of GROUPS for every seed, see `group_of`; of *sometimes*, those closest to half the
    epochs.

    Raises:
        SpecError: unknown group, or nothing in it, or the runs are of several kinds, or without groups.
        DataError: the data set is not available.
    """
    check_choice("group", group, GROUPS)
    runs = choose(runs, **chosen)
    counts_of, specs = _counts(runs), list(runs.loc[runs["has_counts"], "spec"])
    if len(counts_of) > 1:
        raise SpecError(f"the chosen runs are of several kinds ({'; '.join(counts_of)}): choose one kind, rate and net")
    ((name, counts),), spec = counts_of.items(), specs[0]
    if spec.settings.get("period") != 1 or spec.settings.get("anneal_from") is not None:
        raise SpecError(f"{name} has no groups: they need a new selection in every epoch")
    groups = np.stack([group_of(*each) for each in zip(counts, specs, strict=True)])
    share, index = (groups == GROUPS.index(group)).all(0).mean(), typical(counts, groups, IMAGES)[group]
    data = _data(spec.dataset)
    if not len(index) or not isinstance(data, ImageData):
        raise SpecError(f"{name} has no images of {group} samples for every seed")
    title = f"{share:.0%} of the samples are {group} samples for every seed"
    caption = f"{name}, {spec.prune_rate:.0%}; {runs['setting'].iloc[0]}, {spec.epochs} epochs, n = {len(specs)}"
    return plot_examples(data, {group: index}, f"{title}\n{caption}")


_data = lru_cache(maxsize=1)(load_dataset)  # the images of the next group are those of the same data set


def _counts(runs: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the selection counts, (runs, samples), by a name of what the runs differ in besides the seed."""
    for column in ("dataset", "epochs"):
        if len(values := sorted(set(runs[column]))) > 1:
            exist = ", ".join(map(str, values))
            raise SpecError(f"the chosen runs have several values of {column} ({exist}): choose one")
    if not runs["has_counts"].any():
        raise SpecError("no chosen run has selection counts: has_counts=True chooses those that do")
    runs = runs[runs["has_counts"]]
    parts = {"rate": runs["rate"].map("{:.0%}".format), "model": runs["model"].map(model_title)}
    varied = [part for column, part in parts.items() if runs[column].nunique() > 1]
    names = runs["kind"].str.cat(varied, sep=", ") if varied else runs["kind"]
    return {name: np.stack([*map(Store.selections, cell["store"], cell["spec"])]) for name, cell in runs.groupby(names)}


def explorer(runs: pd.DataFrame) -> Any:
    """Return a widget with menus and, below them, the three plots of what is chosen, or why one cannot be drawn."""
    menu = ipywidgets.Dropdown(description="data set, net", options=list(runs["setting"].unique()), **WIDE)
    below = ipywidgets.VBox()

    def show(_: Any = None) -> None:
        below.children = _menus_and_plots(choose(runs, setting=menu.value))

    menu.observe(show, names="value")
    show()
    return ipywidgets.VBox([menu, below])


def _menus_and_plots(runs: pd.DataFrame) -> list[Any]:
    """Return the menus of one data set and net, which begin with runs that have counts, and the plots."""
    pruned, counted = runs[runs["method"] != "full"], runs[runs["has_counts"]]
    kinds, rates = sorted(set(pruned["kind"]), key=str.casefold), sorted(set(pruned["rate"]))
    lengths, shares = sorted(set(runs["epochs"].tolist())), [(f"{rate:.0%}", rate) for rate in rates]
    first = [kind for kind in FIRST if kind in kinds] or kinds[:1]
    length = lengths[-1] if counted.empty else int(counted["epochs"].mode()[0])
    several, one = partial(ipywidgets.SelectMultiple, **WIDE), partial(ipywidgets.Dropdown, **WIDE)
    menus = [
        several(description="methods", options=kinds, value=first, rows=8),
        several(description="skipped", options=shares, value=[0.5] if 0.5 in rates else rates, rows=4),
        one(description="epochs", options=lengths, value=length),
        one(description="group", options=GROUPS, value="always"),
    ]
    # no Output widget: for each of its outputs, nbclient sends a message that can make it miss the end of the cell
    images, plots = [ipywidgets.Image() for _ in range(3)], ipywidgets.VBox(layout={"align_items": "flex-start"})

    def show(_: Any = None) -> None:
        kind, rate, epochs, group = (menu.value for menu in menus)
        chosen: dict[str, Any] = {"kind": ["full data", *kind], "rate": [0, *rate]}
        now = chosen | {"epochs": epochs}  # accuracy is over all lengths, the others at one
        draws = [partial(plot, **chosen), partial(plot_counts, **now), partial(plot_group, group=group, **now)]
        plots.children = [_filled(image, partial(draw, runs)) for image, draw in zip(images, draws, strict=True)]

    for menu in menus:
        menu.observe(show, names="value")
    show()
    return [*menus, plots]


def _filled(image: Any, draw: Callable[[], Figure]) -> Any:
    """Return the image with the figure in it, or the reason why there is none."""
    content = io.BytesIO()
    try:
        draw().savefig(content, format="png")
    except DynpruneError as error:
        return ipywidgets.HTML(html.escape(str(error)))
    image.value = content.getvalue()
    return image
