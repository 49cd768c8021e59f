"""Draw tables as figures."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, MaxNLocator

from dynprune_lib.experiments.data import ImageData, TensorData
from dynprune_lib.report.canvas import LETTERS, WIDTH, finish, one_axes, use_style, write_title
from dynprune_lib.report.style import STYLES, ordered, style
from dynprune_lib.report.tables import half_interval

DASHED = ("fewer-epochs", "full")  # the baselines
OTHERS = {"#0072b2": "o", "#e69f00": "P", "#cc79a7": "v", "#56b4e9": "X"}  # of lines that are no methods
ON_LINES = [withStroke(linewidth=2, foreground="white")]  # around text that lines may cross
FAR = 25  # percentage points below full data: means further down are written at the edge, to keep the others apart


def plot_accuracy_vs_pruning_rate(runs: pd.DataFrame, title: str) -> Figure:
    """Plot the accuracy of each method over the compute saved in training, with 95 % intervals; full data is a band.

    `runs` is a table of `tabulate` with runs on full data. Means more than FAR below it are written at the edge.
    """
    figure, axes = one_axes(title)
    full = runs[runs["method"] == "full"]
    level, ci95, look = full["test_accuracy"].mean(), half_interval(full["test_accuracy"]), style("full")
    axes.axhline(level, color=look.colour, linestyle="--", label=look.label)
    axes.axhspan(level - ci95, level + ci95, color=look.colour, alpha=0.12, linewidth=0)
    methods = [method for method in ordered(runs["method"]) if method != "full"]
    bottom, rows = level - FAR, 0
    for method in methods:
        rates = runs[runs["method"] == method].groupby("rate")
        means, saved = rates["test_accuracy"].mean(), 100 * (1 - rates["passes"].mean() / full["passes"].mean())
        ci95, look, line = rates["test_accuracy"].agg(half_interval), style(method), ":" if method in DASHED else "-"
        axes.errorbar(saved, means, ci95, linestyle=line, ms=5, lw=1.2, **look.line)
        far = means[means < bottom]
        for rate, mean in far.items():
            name, height = f"{look.label} {mean:.0f} ▾", bottom + 0.4 + 1.4 * rows
            drawn: dict[str, Any] = {"color": look.colour, "fontsize": "x-small", "path_effects": ON_LINES}
            axes.text(saved[rate], height, name, ha="right", **drawn)
        rows += not far.empty
    if rows:
        axes.set_ylim(bottom=bottom)
    axes.set(xlabel="compute saved in training (% of sample passes)", ylabel="test accuracy (%)")
    axes.legend(loc="lower left")  # accuracy falls from the upper left
    return finish(figure)


def plot_learning_curves(curves: pd.DataFrame, title: str) -> Figure:
    """Plot the test accuracy after every epoch over sample passes, see `learning_curves`: means with 95 % bands."""
    figure, axes = one_axes(title)
    for method in ordered(curves["method"]):
        epochs = curves[curves["method"] == method].groupby("epoch")
        mean, ci95 = epochs["test_accuracy"].mean(), epochs["test_accuracy"].agg(half_interval).fillna(0)
        places, look = epochs["passes"].mean(), style(method)
        line = "--" if method in DASHED else "-"
        axes.plot(places, mean, line, ms=3, **look.line)
        axes.fill_between(places, mean - ci95, mean + ci95, color=look.colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="sample passes", ylabel="test accuracy (%)")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 200k, not 200000
    axes.legend()
    return finish(figure)


def plot_costs(costs: pd.DataFrame, title: str) -> Figure:
    """Plot the cost of training and of scoring as stacked bars, one per row of `tables.costs`."""
    figure, axes = one_axes(title, height=0.28 * len(costs) + 1.0)
    names = [f"{style(row.method).label}, {row.rate:.0%}" for row in costs.itertuples()]
    colours = [style(method).colour for method in costs["method"]]
    hatched: dict[str, Any] = {"alpha": 0.45, "hatch": "////", "edgecolor": "white"}
    axes.barh(names, costs["training"], color=colours)
    axes.barh(names, costs["total"] - costs["training"], left=costs["training"], color=colours, **hatched)
    line = axes.axvline(1, color=style("full").colour, linestyle="--", label="full data")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("sample passes (full-data run = 1;\na forward pass counts as a third)")
    grey = [Patch(color="#777777", label="training"), Patch(facecolor="#777777", label="scoring", **hatched)]
    legend = axes.legend(handles=[*grey, line], loc="lower center", ncols=3)
    legend.set_bbox_to_anchor((0.5, 1), axes.transAxes)  # above: the bars leave no room
    return finish(figure)


def plot_selection_counts(histogram: pd.DataFrame, title: str) -> Figure:
    """Plot `selections.histogram` in %; a column named by the label of a method has its colour."""
    figure, axes = one_axes(title)
    methods = {look.label: (look.colour, look.marker) for look in STYLES.values()}
    shares = 100 * histogram.set_index("epochs") / histogram.drop(columns="epochs").sum()
    taken = {methods[name][0] for name in shares if name in methods}
    free = {colour: marker for colour, marker in OTHERS.items() if colour not in taken}
    others = itertools.cycle((free or OTHERS).items())
    for name, column in shares.items():
        colour, marker = methods.get(name) or next(others)
        axes.plot(column, color=colour, marker=marker, ms=3.5, label=name)
    axes.set(xlabel=f"epochs in which a sample was selected (of {shares.index[-1]})", ylabel="samples (%)")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # above the axes: the lines leave no room
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return finish(figure)


def plot_kept_samples(kept: np.ndarray, title: str) -> Figure:
    """Plot which samples each epoch keeps, from (epochs, samples) bool: one row per sample, most often kept first."""
    figure, axes = one_axes(title)
    order = np.argsort(-kept.sum(0), kind="stable")
    colours = ListedColormap(["#e8e8e8", style("ucb").colour])
    epochs, samples = kept.shape
    axes.imshow(
        kept[:, order].T, cmap=colours, aspect="auto", interpolation="nearest", extent=(0.5, epochs + 0.5, samples, 0)
    )
    axes.set(xlabel="epoch", ylabel="samples, most often kept first")
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Patch(color=colours(1), label="kept"), Patch(color=colours(0), label="skipped")]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return finish(figure)


def plot_differences(differences: pd.DataFrame, baseline: str, title: str) -> Figure:
    """Plot the columns `mean` and `ci95` of a table, and its `colour` if it has one, a row each, named by the index."""
    figure, axes = one_axes(title, 0.24 * len(differences) + 1.1, _difference_from(baseline))
    _draw_differences(axes, differences)
    axes.set_yticks(range(len(differences)), list(differences.index))
    return finish(figure)


def plot_ranking(differences: pd.DataFrame, baseline: str, title: str, panel: str = "saved") -> Figure:
    """Plot `mean` and `ci95` of each `method_label`, one panel per value of a column.

    Methods are sorted by their mean over the panels that show all of them.
    """
    use_style()
    means = differences.pivot(index="method_label", columns=panel, values="mean")
    order = means.dropna(axis=1).mean(axis=1).sort_values(ascending=False).index
    panels = list(differences.groupby(panel, sort=panel == "saved"))
    figure, grid = plt.subplots(
        1, len(panels), sharey=True, squeeze=False, layout="constrained", figsize=(WIDTH + 2.6, 0.2 * len(order) + 1.4)
    )
    for axes, (value, rows) in zip(grid.flat, panels, strict=True):
        _draw_differences(axes, rows.set_index("method_label").reindex(order))
        name = f"{value:.0%} saved" if panel == "saved" else value
        axes.set_title(textwrap.fill(name, round(LETTERS * figure.get_figwidth() / len(panels))), fontsize="small")
    grid[0, 0].set_yticks(range(len(order)), order)
    write_title(figure, title, _difference_from(baseline))
    return finish(figure)


def plot_examples(data: TensorData, examples: Mapping[str, Sequence[int] | np.ndarray], title: str) -> Figure:
    """Plot training images with their classes, in rows: their positions by the name of the row."""
    assert isinstance(data, ImageData)
    use_style()
    count, size = max(map(len, examples.values())), (WIDTH, 0.75 * len(examples) + 0.6)
    figure, grid = plt.subplots(len(examples), count, figsize=size, squeeze=False, layout="constrained")
    for axes in grid.flat:
        axes.axis("off")
    for row, (name, index) in zip(grid, examples.items(), strict=True):
        row[0].set_title(name, loc="left", fontsize="small", pad=2)
        for axes, image, label in zip(row, data.train.images[index], data.train.labels[index], strict=False):
            axes.imshow(image.squeeze().numpy(), cmap="gray", interpolation="nearest")
            text = data.classes[label]
            axes.text(0.5, -0.05, text, transform=axes.transAxes, fontsize="x-small", ha="center", va="top")
    write_title(figure, title)
    plt.close(figure)
    return figure


def plot_correlations(matrix: pd.DataFrame, title: str) -> Figure:
    """Plot a matrix of rank correlations with a named index, with the numbers if there are at most 10 rows."""
    figure, axes = one_axes(title, height=0.85 * WIDTH)
    numbers: dict[str, Any] = {"annot": len(matrix) <= 10, "fmt": ".2f", "annot_kws": {"fontsize": "small"}}
    look: dict[str, Any] = {"cmap": "cividis", "square": True, "cbar_kws": {"label": "rank correlation"}}
    sns.heatmap(matrix, vmin=0, vmax=1, xticklabels=True, yticklabels=True, ax=axes, **numbers, **look)
    axes.set(xlabel=matrix.index.name, ylabel=matrix.index.name)
    axes.tick_params(axis="y", rotation=0)
    axes.grid(visible=False)
    plt.close(figure)
    return figure


def _difference_from(baseline: str) -> str:
    return f"difference from {baseline} (percentage points)"


def _draw_differences(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw each mean with its interval, or as a number if it is far below zero, and a line at zero."""
    usual = (rows["mean"].abs() + rows["ci95"].fillna(0)).median()
    is_far = rows["mean"] < -8 * usual  # it would squeeze all others
    for place, (name, row) in enumerate(rows.iterrows()):
        if is_far[name]:
            text = f"◂ {row['mean']:.1f}"
            at_edge = axes.get_yaxis_transform()
            axes.text(0.02, place, text, transform=at_edge, va="center", fontsize="x-small", path_effects=ON_LINES)
        else:
            colour = row.get("colour", "#0072b2")
            axes.errorbar(row["mean"], place, xerr=row["ci95"], color=colour, marker="o", ms=3.5, lw=1.2)
    axes.axvline(0, color=style("full").colour, linestyle="--")
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 2.5, 5, 10], min_n_ticks=2))
    axes.set_ylim(len(rows) - 0.5, -0.5)
