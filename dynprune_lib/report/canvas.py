"""The style, title and legend of all figures. A title is a message, then lines of setting, which go below."""

import textwrap
from typing import Any

import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 4.2  # inches: readable at the width of one column (3.5 inches)
LETTERS = 14  # of a message, per inch of width; the setting is in smaller type


def use_style() -> None:
    """Set the style of all figures: readable at the width of one column, white also on a dark page."""
    plt.rcdefaults()  # whatever the user's matplotlibrc has
    sizes = {"font.size": 9, "axes.titlesize": 8.5, "axes.labelsize": 8.5, "xtick.labelsize": 8, "ytick.labelsize": 8}
    lines: dict[str, Any] = {"axes.grid": True, "grid.alpha": 0.3, "hatch.linewidth": 0.5, "axes.linewidth": 0.8}
    lines |= {"lines.linewidth": 1, "errorbar.capsize": 2, "legend.frameon": False, "legend.fontsize": "small"}
    ticks = {f"{axis}tick.major.{name}": value for axis in "xy" for name, value in (("width", 0.8), ("size", 3.5))}
    files = {"figure.dpi": 150, "figure.facecolor": "white", "savefig.facecolor": "white", "pdf.fonttype": 42}
    sns.set_theme(context="paper", style="ticks", rc=sizes | lines | ticks | files)


def one_axes(title: str, height: float = 3.0, label: str = "") -> tuple[Figure, Axes]:
    """Return a figure with one axes; `label` is that of the x axis where long names leave the axes little room."""
    use_style()
    figure, axes = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    write_title(figure, title, label)
    return figure, axes


def finish(figure: Figure) -> Figure:
    """Remove the upper and the right frame, and close the figure."""
    sns.despine(figure)
    plt.close(figure)  # a notebook shows the figure that a cell returns; an open one would be shown twice
    return figure


def legend_beside(figure: Figure, fontsize: str | float = "x-small") -> None:
    """Put one legend of all panels, each label once, to the right."""
    lines: dict[str, Artist] = {}
    for axes in figure.axes:
        lines |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(lines.values(), lines.keys(), loc="outside right center", fontsize=fontsize)


def write_title(figure: Figure, title: str, label: str = "") -> None:
    """Write the message above a figure; the setting, and a label of the x axis, below."""
    message, *setting = title.split("\n")
    letters = round(LETTERS * figure.get_figwidth())
    figure.suptitle(textwrap.fill(message, letters), fontsize="small", fontweight="bold")
    size, per_letter = ("small", 1.15) if label else ("x-small", 1.4)
    lines = [textwrap.fill(line, round(per_letter * letters)) for line in ([label] if label else []) + setting]
    figure.supxlabel("\n".join(lines), fontsize=size)
