"""Draw accuracy over compute, with the speed-up at equal accuracy as an arrow."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from dynprune_lib.report.canvas import WIDTH, finish, use_style, write_title
from dynprune_lib.report.frontier import full_data_band, mean_of_seeds
from dynprune_lib.report.frontier_text import best, factor
from dynprune_lib.report.style import ordered, style


def plot_frontier(runs: pd.DataFrame, tested: pd.DataFrame, title: str, caption: str) -> Figure:
    """Plot the test accuracy of full data and of each method at 50 % compute saved over compute, one panel per setting.

    Args:
        runs: a table of `measure_compute`.
        tested: the speed-ups under test, see `at_the_greatest_length`; an arrow shows the best of each setting whose
            interval has an end.
        title: the message.
        caption: what was trained, in small type below.
    """
    use_style()
    settings = list(runs.groupby("setting", sort=False))
    figure, panels = _panels(len(settings))
    for axes, (setting, group) in zip(panels, settings, strict=True):
        draw_full_data(axes, group)
        draw_methods(axes, group[group["saved"] == 0.5])
        known = tested[(tested["setting"] == setting) & ((tested["low"] > 0) | np.isfinite(tested["high"]))]
        if len(known):
            _draw_speed_up(axes, best(known))
        axes.set_title(setting, fontsize="small")
        axes.set(xlabel="compute (epochs of full data)", ylabel="test accuracy (%)")
        label_in_doublings(axes)
    panels[0].legend(frameon=False, fontsize="x-small", loc="lower right")
    write_title(figure, f"{title}\n{caption}")
    return finish(figure)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels in a row, or in two if there are many."""
    columns = count if count < 4 else math.ceil(count / 2)
    rows = math.ceil(count / columns)
    size = (0.4 + (0.8 if columns < 3 else 0.6) * WIDTH * columns, 3.2 if rows == 1 else 2.6 * rows)
    figure, grid = plt.subplots(rows, columns, squeeze=False, layout="constrained", figsize=size)
    for axes in grid.flat[count:]:
        axes.remove()
    return figure, list(grid.flat[:count])


def draw_full_data(axes: Axes, runs: pd.DataFrame) -> None:
    """Draw the accuracy of full data over compute, with its band."""
    band, look = full_data_band(runs), style("full")
    places = band["full_epochs"]
    axes.plot(
        places, band["test_accuracy"], "--", color=look.colour, marker=look.marker, ms=5, lw=1.2, label=look.label
    )
    axes.fill_between(places, band["low"], band["high"], color=look.colour, alpha=0.15, linewidth=0)


def draw_methods(axes: Axes, runs: pd.DataFrame, plain: str = "-") -> None:
    """Draw the mean accuracy of each method over compute: lines without a modifier are `plain`, others dotted."""
    cells = mean_of_seeds(runs).sort_values("full_epochs")
    for method in ordered(cells["method"]):
        look = style(method)
        for label, curve in cells[cells["method"] == method].groupby("method_label"):
            places, means = curve["full_epochs"], curve["test_accuracy"]
            fill, line = (look.colour, plain) if label == look.label else ("white", ":")  # open: with a modifier
            axes.plot(places, means, line, color=look.colour, marker=look.marker, mfc=fill, ms=4, lw=1, label=label)


def _draw_speed_up(axes: Axes, row: pd.Series) -> None:
    """Draw an arrow from a method to the frontier at its accuracy, with the factor on it."""
    start, height = row["full_epochs"], row["test_accuracy"]
    colour, end = style(row["method"]).colour, start * row["speed_up"]
    arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(end, height), xytext=(start, height), arrowprops=arrow)
    place: dict[str, Any] = {"xy": ((start * end) ** 0.5, height), "xytext": (0, 4), "ha": "center"}
    if end < start:  # full data lies above the arrow
        place = {"xy": (start, height), "xytext": (7, -4), "ha": "left"}
    axes.annotate(factor(row), textcoords="offset points", color=colour, fontweight="bold", **place)


def label_in_doublings(axes: Axes) -> None:
    """Let doublings of compute have equal distances, with round numbers."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
