"""Draw accuracy over compute, and the speed-ups at equal accuracy as a forest plot."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter
from scipy import stats

from dynprune_lib.report.canvas import WIDTH, finish, legend_beside, one_axes, use_style, write_title
from dynprune_lib.report.frontier import full_data_band, mean_of_seeds
from dynprune_lib.report.statistics import ERROR
from dynprune_lib.report.style import ordered, style


def plot_frontier(runs: pd.DataFrame, title: str) -> Figure:
    """Plot test accuracy over compute with 95 % intervals, one panel per setting of `frontier.measure_compute`."""
    use_style()
    settings = list(runs.groupby("setting", sort=False))
    size = (0.4 + 0.85 * WIDTH * len(settings), 3.4)
    figure, panels = plt.subplots(1, len(settings), squeeze=False, layout="constrained", figsize=size)
    for axes, (setting, group) in zip(panels.flat, settings, strict=True):
        draw_full_data(axes, group)
        draw_methods(axes, group[group["method"] != "full"])
        axes.set_title(setting, fontsize="small")
        axes.set(xlabel="compute (epochs of full data)")
        label_in_doublings(axes)
    panels[0, 0].set_ylabel("test accuracy (%)")
    legend_beside(figure)
    write_title(figure, title)
    return finish(figure)


def draw_full_data(axes: Axes, runs: pd.DataFrame) -> None:
    """Draw the accuracy of full data over compute: each length, and the curve with its band."""
    band, look = full_data_band(runs), style("full")
    places = band["full_epochs"]
    axes.errorbar(
        places,
        band["test_accuracy"],
        band["ci95"],
        fmt=look.marker,
        color=look.colour,
        ms=4,
        capsize=2,
        lw=1,
        label=look.label,
    )
    axes.plot(places, band["curve"], "--", color=look.colour, lw=1.2, label=f"{look.label}, fitted")
    axes.fill_between(places, band["low"], band["high"], color=look.colour, alpha=0.15, linewidth=0)


def draw_methods(axes: Axes, runs: pd.DataFrame, plain: str = "-") -> None:
    """Draw the mean accuracy of each method over compute: lines without a modifier are `plain`, others dotted."""
    cells = mean_of_seeds(runs).sort_values("full_epochs")
    half = stats.t.isf(ERROR / 2, (cells["n"] - 1).clip(lower=1)) * np.sqrt(cells["own_variance"] / cells["n"])
    cells = cells.assign(half=half)
    for method in ordered(cells["method"]):
        look = style(method)
        for label, curve in cells[cells["method"] == method].groupby("method_label"):
            fill, line = (look.colour, plain) if label == look.label else ("white", ":")  # open: with a modifier
            shown: dict[str, Any] = {"color": look.colour, "marker": look.marker, "mfc": fill, "ms": 4, "lw": 1}
            places, means = curve["full_epochs"], curve["test_accuracy"]
            axes.errorbar(places, means, curve["half"], linestyle=line, label=label, capsize=2, **shown)


def plot_forest(table: pd.DataFrame, title: str) -> Figure:
    """Plot speed-ups of `frontier.common_speed_up` with their intervals, one row each; an open end is an arrow at the
    edge."""
    figure, axes = one_axes(
        title, 0.26 * len(table) + 1.4, "speed-up at equal accuracy (full data is 1, dotted: the paper's 2)"
    )
    left, right = 0.6, 2.3
    for place, row in enumerate(table.itertuples()):
        look, low, high = style(row.method), max(row.low, left), min(row.high, right)
        fill = look.colour if row.method_label == look.label else "white"
        axes.plot([low, high], [place, place], color=look.colour, lw=1.4)
        for end, marker, is_open in ((low, "<", row.low < left), (high, ">", row.high > right)):
            axes.plot(end, place, marker if is_open else "|", color=look.colour, ms=5)
        axes.plot(row.speed_up, place, look.marker, color=look.colour, mfc=fill, ms=5)
        axes.text(1.02, place, f"{row.speed_up:.2f}x", transform=axes.get_yaxis_transform(), va="center", fontsize=7)
    axes.set_yticks(range(len(table)), table["setting"] + ": " + table["method_label"])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xscale("log", base=2)
    axes.set_xlim(left, right)
    axes.set_xticks([0.7, 1, 1.4, 2], ["0.7x", "1x", "1.4x", "2x"])
    axes.xaxis.set_minor_locator(NullLocator())
    for line, dash in ((1, "-"), (2, ":")):
        axes.axvline(line, color=style("full").colour, linestyle=dash, linewidth=1, zorder=0)
    return finish(figure)


def label_in_doublings(axes: Axes) -> None:
    """Give doublings of compute equal distances, from about the shortest run on: 5, 10, 20."""
    axes.set_xscale("log", base=2)
    shortest = float(f"{axes.dataLim.x0:.1g}")
    axes.xaxis.set_major_locator(LogLocator(2, subs=[shortest / 2 ** np.floor(np.log2(shortest))]))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
