"""The figures: tables in, figure out, one style for all of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from dynprune_lib.report.style import ordered, style
from dynprune_lib.report.tables import half_interval

WIDTH = 4.2  # inches: readable at the width of one column (3.5 inches)
DASHED = ("fewer-epochs", "full")  # the baselines
FAR = 25  # points below full data: what lies lower is named at the edge, not to squeeze all else together


def plot_accuracy_vs_pruning_rate(runs: pd.DataFrame, title: str) -> Figure:
    """One line a method over the measured share of sample passes that its training saves, with 95 % intervals; the full
    data as a level with its interval as a band. Means that lie FAR below it are named at the edge."""
    figure, axes = _one_axes(title)
    full = runs[runs["method"] == "full"]
    level, half, look = full["test_accuracy"].mean(), half_interval(full["test_accuracy"]), style("full")
    axes.axhline(level, color=look.colour, linestyle="--", linewidth=1, label=look.label)
    axes.axhspan(level - half, level + half, color=look.colour, alpha=0.12, linewidth=0)
    methods = [method for method in ordered(runs["method"]) if method != "full"]
    bottom, rows = level - FAR, 0
    for place, method in enumerate(methods):
        rates = runs[runs["method"] == method].groupby("rate")
        means, saved = rates["test_accuracy"].mean(), 100 * (1 - rates["passes"].mean() / full["passes"].mean())
        look = style(method)
        axes.errorbar(
            saved + (place - (len(methods) - 1) / 2) * 0.6,  # side by side, to be read
            means,
            rates["test_accuracy"].agg(half_interval),
            color=look.colour,
            marker=look.marker,
            linestyle=":" if method in DASHED else "-",
            markersize=5,
            linewidth=1.2,
            capsize=2,
            label=look.label,
        )
        far = means[means < bottom]
        for rate, mean in far.items():
            name, height = f"{look.label} {mean:.0f} ▾", bottom + 0.4 + 1.4 * rows
            axes.text(saved[rate], height, name, color=look.colour, fontsize="x-small", ha="right")
        rows += not far.empty
    if rows:
        axes.set_ylim(bottom=bottom)
    axes.set(xlabel="sample passes of the training saved (%)", ylabel="test accuracy (%)")
    return _finish(figure, axes)


def plot_learning_curves(curves: pd.DataFrame, x: str, label: str, title: str) -> Figure:
    """Test accuracy after every epoch over `x`, `passes` or `seconds` so far (where they are known): the mean over the
    seeds, with the 95 % interval of it as a band."""
    figure, axes = _one_axes(title)
    curves = curves.dropna(subset=x)
    for method in ordered(curves["method"]):
        epochs = curves[curves["method"] == method].groupby("epoch")
        mean, half = epochs["test_accuracy"].mean(), epochs["test_accuracy"].agg(half_interval).fillna(0)
        places, look = epochs[x].mean(), style(method)
        line = "--" if method in DASHED else "-"
        axes.plot(
            places, mean, line, color=look.colour, marker=look.marker, markersize=3, linewidth=1, label=look.label
        )
        axes.fill_between(places, mean - half, mean + half, color=look.colour, alpha=0.15, linewidth=0)
    axes.set(xlabel=label, ylabel="test accuracy (%)")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 200k, not 200000
    return _finish(figure, axes)


def plot_costs(costs: pd.DataFrame, title: str) -> Figure:
    """Bars of scoring and training, in passes of a full-data run: `costs` has the columns method, rate, scoring and
    training, and a row a bar."""
    figure, axes = _one_axes(title, height=0.28 * len(costs) + 1.0)
    names = [f"{style(row.method).label}, {row.rate:.0%}" for row in costs.itertuples()]
    colours = [style(method).colour for method in costs["method"]]
    axes.barh(names, costs["training"], color=colours, label="training")
    axes.barh(
        names,
        costs["scoring"],
        left=costs["training"],
        color=colours,
        alpha=0.45,
        hatch="////",
        edgecolor="white",
        label="scoring before it",
    )
    axes.axvline(1, color=style("full").colour, linestyle="--", linewidth=1, label="full data")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    figure.supxlabel("sample passes, as a share of the full-data run's", fontsize="medium")
    return _finish(figure, axes)


def plot_selection_counts(counts: dict[str, np.ndarray], epochs: int, title: str) -> Figure:
    """How many samples (in %) were selected in how many of the epochs: one line for each name of `counts`, whose values
    (runs, N) hold the counts of one or several runs."""
    figure, axes = _one_axes(title)
    styles = zip(sns.color_palette("colorblind"), "os^vDPX", strict=False)
    for (name, runs), (colour, marker) in zip(counts.items(), styles, strict=False):
        shares = np.stack([np.bincount(run, minlength=epochs + 1) / len(run) for run in np.atleast_2d(runs)])
        places = np.arange(epochs + 1)
        axes.plot(places, 100 * shares.mean(0), color=colour, marker=marker, markersize=3.5, linewidth=1, label=name)
    axes.set(xlabel=f"epochs in which a sample was selected, of {epochs}", ylabel="samples (%)")
    axes.set_ylim(bottom=0)
    return _finish(figure, axes)


def plot_differences(found: pd.DataFrame, zero: str, title: str) -> Figure:
    """Means and 95 % intervals of differences, one row each (index: its name; its `colour`, if any), about the line of
    `zero`, its name. What lies far below is named."""
    figure, axes = _one_axes(title, height=0.24 * len(found) + 1.0)
    limit = _usual_size(found)
    _draw_differences(axes, found, limit)
    if (found["mean"] < -limit).any():
        axes.set_xlim(-limit, limit)
    axes.set_yticks(range(len(found)), list(found.index))
    axes.invert_yaxis()
    figure.supxlabel(f"points of test accuracy above {zero}", fontsize="medium")  # the names leave the axes little room
    return _finish(figure, axes, legend=False)


def plot_ranking(found: pd.DataFrame, zero: str, title: str) -> Figure:
    """A panel for each share `saved` with the differences of each `rule`, means and 95 % intervals, about the line of
    `zero`, its name; the rules in the order of their mean over the panels. What lies far below is named."""
    use_style()
    order = found.groupby("rule")["mean"].mean().sort_values(ascending=False).index
    panels = list(found.groupby("saved"))
    figure, grid = plt.subplots(
        1, len(panels), sharey=True, squeeze=False, layout="constrained", figsize=(WIDTH + 2.6, 0.19 * len(order) + 1.2)
    )
    for axes, (saved, rows) in zip(grid.flat, panels, strict=True):
        limit = _usual_size(rows)
        _draw_differences(axes, rows.set_index("rule").reindex(order), limit)
        axes.set_xlim(-limit, limit)
        axes.set_title(f"{saved:.0%} saved", fontsize="small")
    grid[0, 0].set_yticks(range(len(order)), order)
    grid[0, 0].invert_yaxis()
    figure.suptitle(title, fontsize="small")
    figure.supxlabel(f"points of test accuracy above {zero}", fontsize="medium")
    return _finish(figure, grid[0, 0], legend=False)


def plot_images(images: dict[str, np.ndarray], title: str) -> Figure:
    """A row of images for each name of `images`, whose values are (count, height, width, channels) uint8."""
    count = max(len(row) for row in images.values())
    use_style()
    figure, grid = plt.subplots(
        len(images), count, figsize=(WIDTH, 0.55 * len(images) + 0.35), squeeze=False, layout="constrained"
    )
    for axes in grid.flat:
        axes.axis("off")
    for row, (name, pictures) in zip(grid, images.items(), strict=True):
        row[0].set_title(name, loc="left", fontsize="small", pad=2)
        for axes, picture in zip(row, pictures, strict=False):
            axes.imshow(picture.squeeze(), cmap="gray", interpolation="nearest")
    figure.suptitle(title, fontsize="small")
    plt.close(figure)
    return figure


def plot_correlations(matrix: np.ndarray, labels: Sequence[str], title: str) -> Figure:
    """A square of rank correlations with their numbers."""
    figure, axes = _one_axes(title, height=0.85 * WIDTH)
    sns.heatmap(
        matrix,
        vmin=0,
        vmax=1,
        annot=len(labels) <= 10,
        fmt=".2f",
        annot_kws={"fontsize": 6},
        cmap="cividis",
        square=True,
        xticklabels=labels,
        yticklabels=labels,
        cbar_kws={"label": "rank correlation"},
        ax=axes,
    )
    axes.grid(visible=False)
    plt.close(figure)
    return figure


def use_style() -> None:
    """Thin axes, a light grid, sizes that are readable at the width of one column."""
    sns.set_theme(
        context="paper",
        style="ticks",
        rc={"figure.dpi": 150, "axes.grid": True, "grid.alpha": 0.3, "font.size": 9, "hatch.linewidth": 0.5},
    )


def _usual_size(found: pd.DataFrame) -> float:
    """Four times the usual difference with its interval, or the highest mean if that is more: what fails far below
    would hide the others."""
    return max(4 * (found["mean"].abs() + found["half"].fillna(0)).median(), 1.1 * found["mean"].max())


def _draw_differences(axes: Axes, rows: pd.DataFrame, limit: float) -> None:
    """A line each with the mean and its interval, or the number where the mean is below -`limit`, about zero."""
    for place, (_, row) in enumerate(rows.iterrows()):
        if row["mean"] < -limit:
            axes.text(-limit, place, f" ◂ {row['mean']:.1f}", fontsize="x-small", va="center")
        else:
            colour = row.get("colour", "#0072b2")
            axes.errorbar(row["mean"], place, xerr=row["half"], color=colour, marker="o", ms=3.5, capsize=2, lw=1.2)
    axes.axvline(0, color=style("full").colour, linestyle="--", linewidth=1)


def _one_axes(title: str, height: float = 3.0) -> tuple[Figure, Axes]:
    use_style()
    figure, axes = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(title, fontsize="small")
    return figure, axes


def _finish(figure: Figure, axes: Axes, legend: bool = True) -> Figure:
    if legend:
        axes.legend(frameon=False, fontsize="small")
    sns.despine(figure)
    plt.close(figure)  # a notebook shows what a cell returns, and nothing twice
    return figure
