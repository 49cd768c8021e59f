"""Show accuracy over compute, and speed-ups at equal accuracy: figures, and tables of text."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter
from scipy import stats

from dynprune_lib.experiments.profile import FEWER_EPOCHS
from dynprune_lib.report.canvas import WIDTH, finish, legend_beside, one_axes, use_style, write_title
from dynprune_lib.report.frontier import full_data_band, mean_of_seeds, measure_compute, speed_up
from dynprune_lib.report.statistics import ERROR
from dynprune_lib.report.style import ordered, style
from dynprune_lib.report.tables import label_with_settings


def draw_full_data(axes: Axes, runs: pd.DataFrame) -> None:
    """Draw the accuracy of full data over compute: each length, and the curve with its band."""
    band, look = full_data_band(runs), style("full")
    places = band["full_epochs"]
    axes.errorbar(places, band["test_accuracy"], band["ci95"], linestyle="", ms=4, **look.line)
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
            shown: dict[str, Any] = look.line | {"label": label, "mfc": fill, "ms": 4, "linestyle": line}
            axes.errorbar(curve["full_epochs"], curve["test_accuracy"], curve["half"], **shown)


def plot_over_compute(
    panels: Mapping[str, pd.DataFrame],
    title: str,
    width: float,
    draw: Callable[[Axes, pd.DataFrame], None] = draw_methods,
) -> Figure:
    """Plot test accuracy over compute, one panel per title and runs of `frontier.measure_compute`."""
    use_style()
    figure, grid = plt.subplots(1, len(panels), squeeze=False, layout="constrained", figsize=(width, 3.4))
    for axes, (name, runs) in zip(grid.flat, panels.items(), strict=True):
        is_full = runs["method"] == "full"
        if is_full.any():
            draw_full_data(axes, runs)
        draw(axes, runs[~is_full])
        axes.set_title(name, fontsize="small")
        axes.set_xlabel("compute (epochs of full data)")
        label_in_doublings(axes)
    grid[0, 0].set_ylabel("test accuracy (%)")
    legend_beside(figure)
    write_title(figure, title)
    return finish(figure)


def plot_frontier(runs: pd.DataFrame, title: str) -> Figure:
    """Plot test accuracy over compute with 95 % intervals, one panel per setting."""
    panels = dict(iter(runs.groupby("setting", sort=False)))
    return plot_over_compute(panels, title, 0.4 + 0.85 * WIDTH * len(panels))


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


def plot_compute_spent(runs: pd.DataFrame, methods: Collection[str], title: str) -> Figure:
    """Plot a table of `spent`: `methods` with epochs of a fixed length, not annealed; all with their own length."""
    use_style()
    figure, panels = plt.subplots(1, 2, sharex=True, sharey=True, layout="constrained", figsize=(2.4 * WIDTH, 3.4))
    is_full = runs["method"] == "full"
    fixed = ~runs["own_length"] & ~runs["annealed"] & runs["method"].isin(methods)
    kinds = {"epochs of a fixed length": fixed, "epochs of their own length": runs["own_length"]}
    for axes, (kind, chosen) in zip(panels, kinds.items(), strict=True):
        draw_full_data(axes, runs[is_full])
        draw_methods(axes, runs[chosen & ~is_full], plain=":")
        axes.set(title=kind, xlabel="compute (epochs of full data)")
        label_in_doublings(axes)
    lengths = runs[is_full].groupby("epochs")["test_accuracy"].mean()
    lowest = lengths.nsmallest(2).index[-1]  # methods that fail would stretch the axes
    panels[0].set(ylabel="test accuracy (%)", xlim=(0.8 * lowest, None), ylim=(lengths[lowest] - 2, lengths.max() + 1))
    legend_beside(figure, fontsize=5.5)
    write_title(figure, title)
    return finish(figure)


def interval(row: pd.Series) -> str:
    """Format a speed-up with its interval.

    Example:
        >>> row = pd.Series({"speed_up": 1.418, "bound": "", "low": 1.2, "high": 1.66})
        >>> interval(row), interval(row.replace(1.66, np.inf)), interval(row.replace([1.2, 1.66], [0, np.inf]))
        ('1.42x (1.20 to 1.66)', '1.42x (1.20 or more)', '1.42x (no limits)')
    """
    low, high, factor = row["low"], row["high"], f"{row.get('bound', '')} {row['speed_up']:.2f}x".strip()
    if np.isnan(low):
        return factor
    if low == 0 and np.isinf(high):
        return f"{factor} (no limits)"
    ends = f"{low:.2f} or more" if np.isinf(high) else f"{high:.2f} or less" if low == 0 else f"{low:.2f} to {high:.2f}"
    return f"{factor} ({ends})"


def common_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return `frontier.common_speed_up` as text, one row per setting, method and compute saved."""
    points = [f"{row.points:+.2f}" + ("" if np.isnan(row.ci) else f" ± {row.ci:.2f}") for row in table.itertuples()]
    shown = pd.DataFrame(
        {
            "points at equal compute": points,
            "speed-up at equal accuracy": [interval(row) for _, row in table.iterrows()],
            "lengths": table["lengths"],
            "p of one factor": table["p_common"].map("{:.3f}".format).replace("nan", ""),
            "n": table["n"],
        }
    )
    saved = table["saved"].map("{:.0%}".format).rename("compute saved")
    return shown.set_index([table["setting"], table["method_label"].rename("method"), saved])


def speed_up_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return `frontier.speed_up` as text: one row per setting and epochs, one column per method."""
    return _by_method(table.assign(text=[interval(row) for _, row in table.iterrows()]), "epochs")


def time_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return `frontier.time_to_accuracy` as text, seconds in brackets: one row per setting and accuracy."""
    text = [
        f"{row.bound} {row.full_epochs:.1f}{'' if np.isnan(row.seconds) else f' ({row.seconds:.0f} s)'}".strip()
        for row in table.itertuples()
    ]
    return _by_method(table.assign(text=text, accuracy=table["accuracy"].map("{:g} %".format)), "accuracy")


def _by_method(table: pd.DataFrame, row: str) -> pd.DataFrame:
    """Return the texts of a table with one column per method and compute saved, in the order of all figures."""
    places = {method: place for place, method in enumerate(ordered(table["method"]))}
    table = table.assign(place=table["method"].map(places), saved=table["saved"].map("{:.0%}".format))
    columns = ["place", "method_label", "saved"]
    cells = table.pivot_table(index=["setting", row], columns=columns, values="text", aggfunc="first", fill_value="")
    return cells.droplevel("place", axis=1).rename_axis(columns=["method", "compute saved"])


def spent(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return `measure_compute` of the runs of several experiments that are of the data set and model of the first.

    Full data in fewer epochs becomes a length of full data; labels of own lengths name their settings.
    """
    runs = pd.concat(tables, ignore_index=True)
    runs = runs[(runs[["dataset", "model"]] == runs.loc[0, ["dataset", "model"]]).all(axis=1)]
    is_full = runs["method"].isin(["full", FEWER_EPOCHS])
    runs = runs.assign(method=runs["method"].mask(is_full, "full"), rate=runs["rate"].mask(is_full, 0.0))
    runs = measure_compute(runs)
    labels = pd.Series(map(label_with_settings, runs["method_label"], runs["settings"]), runs.index)
    return runs.assign(method_label=runs["method_label"].mask(runs["own_length"], labels))


def saving_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each method promises, saves and reaches, the highest speed-up first.

    Methods below full data at its smallest length are left out; `chosen by the rule` is of `tables.chosen_by_rule`.
    """
    cell = ["method_label", "epochs", "saved"]
    means = runs.groupby(cell)["test_accuracy"].transform("mean")
    runs = runs[means >= means[runs["method"] == "full"].min()]  # below, no compute of full data is as accurate
    groups = runs.groupby(cell)
    table = speed_up(runs)
    keys = pd.MultiIndex.from_frame(table[cell])
    really = 1 - table["full_epochs"] / table["epochs"]
    shown = pd.DataFrame(
        {
            "method": table["method_label"],
            "prune rate": groups["rate"].mean().reindex(keys).map("{:.0%}".format).to_numpy(),
            "compute saved": really.map("{:.0%}".format),
            "accuracy (%)": table["test_accuracy"].round(1),
            "speed-up": [interval(row) for _, row in table.iterrows()],
            "n": table["n"],
            "chosen by the rule": groups["chosen_by_rule"].agg(_share_of_seeds).reindex(keys).to_numpy(),
        }
    )
    return shown.loc[table["speed_up"].sort_values(ascending=False).index].reset_index(drop=True)


def _share_of_seeds(values: pd.Series) -> str:
    """Format the mean of the values that are known, with their number if some are not; empty if none is."""
    number = values.count()
    some = f" ({number} of {len(values)} runs)" if number < len(values) else ""
    return f"{values.mean():.0%}{some}" if number else ""
