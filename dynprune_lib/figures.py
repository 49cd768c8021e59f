"""From run records to tables and figures: records in, figure out, one style for all of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from dynprune_lib.paths import root
from dynprune_lib.profile import load_profile
from dynprune_lib.runs import RunRecord
from dynprune_lib.store import write_whole

_COLOURS = sns.color_palette("colorblind")


class Look(NamedTuple):
    """How a method appears in every figure."""

    label: str
    colour: tuple[float, float, float]
    marker: str


LOOKS = {
    "full": Look("full data", (0.25, 0.25, 0.25), "*"),
    "ucb": Look("UCB", _COLOURS[0], "o"),
    "epsilon-greedy": Look("ε-greedy", _COLOURS[1], "s"),
    "dynamic-random": Look("dynamic random", _COLOURS[2], "^"),
    "static-random": Look("static random", _COLOURS[3], "v"),
    "fewer-epochs": Look("full data, fewer epochs", _COLOURS[4], "D"),
}


def use_style() -> None:
    """Sizes that are readable at the width of one column (3.5 inches), thin axes, a light grid."""
    sns.set_theme(
        context="paper",
        style="ticks",
        rc={"figure.figsize": (4.2, 3.0), "figure.dpi": 150, "axes.grid": True, "grid.alpha": 0.3, "font.size": 9},
    )


def tabulate(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row a run, by method, rate and seed.

    Columns: `method`; `rate`, the share of the sample passes that is saved, nominally; `seed`; `test_accuracy` in % (of
    the last epoch); `passes`, samples that went forward and backward; `seconds`, all that training needs. Full data in
    fewer epochs than the longest full run is a method of its own, `fewer-epochs`.
    """
    records = list(records)
    epochs = max(record.spec.epochs for record in records)
    rows = [
        {
            "method": "fewer-epochs" if record.spec.epochs < epochs else record.spec.sampler,
            "rate": record.spec.prune_rate or round(1 - record.spec.epochs / epochs, 1),
            "seed": record.spec.seed,
            "test_accuracy": 100 * record.test_accuracy,
            "passes": record.total("backward_passes"),
            "seconds": record.seconds,
        }
        for record in records
    ]
    return pd.DataFrame(rows).sort_values(["rate", "method", "seed"], ignore_index=True)


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
    cells = cells.reindex([method for method in LOOKS if method in cells.index])
    cells.index = [LOOKS[method].label for method in cells.index]
    return cells.rename(columns=lambda rate: f"{rate:.0%}" if rate else "none").rename_axis(columns="saved")


def paired_differences(runs: pd.DataFrame, method: str, other: str) -> pd.DataFrame:
    """By how many points of accuracy `method` is above `other` at each rate that both have, paired by seed:
    columns mean, half (of the 95 % interval), n."""
    one, two = (runs[runs["method"] == name].set_index(["rate", "seed"])["test_accuracy"] for name in (method, other))
    return (one - two).dropna().groupby("rate").agg(mean="mean", half=half_interval, n="count")


def judge(differences: pd.DataFrame) -> str:
    """`reproduced` if the mean is above zero by more than its interval at every rate, `not reproduced` if at none,
    else `partly reproduced`; `undecided` where a rate has a single seed, or there is none."""
    if differences["half"].isna().any() or differences.empty:
        return "undecided"
    above = differences["mean"] > differences["half"]
    return "reproduced" if above.all() else "partly reproduced" if above.any() else "not reproduced"


def describe_differences(differences: pd.DataFrame) -> str:
    """`+0.5 ± 0.3 points at 30 %, ...`, of accuracy; the interval is left out where there is a single seed."""
    halves = ["" if np.isnan(half) else f" ± {half:.1f}" for half in differences["half"]]
    rows = zip(differences.index, differences["mean"], halves, strict=True)
    return ", ".join(f"{mean:+.1f}{half} points at {rate:.0%}" for rate, mean, half in rows) or "not measured"


def plot_accuracy_vs_pruning_rate(runs: pd.DataFrame, title: str) -> Figure:
    """One line a method over the measured share of sample passes that it saves, with 95 % intervals; the full data as
    a level with its interval as a band."""
    use_style()
    figure, axes = plt.subplots(layout="constrained")
    full = runs[runs["method"] == "full"]
    level, half, look = full["test_accuracy"].mean(), half_interval(full["test_accuracy"]), LOOKS["full"]
    axes.axhline(level, color=look.colour, linestyle="--", linewidth=1, label=look.label)
    axes.axhspan(level - half, level + half, color=look.colour, alpha=0.12)
    methods = [method for method in LOOKS if method != "full" and method in set(runs["method"])]
    for place, method in enumerate(methods):
        rates = runs[runs["method"] == method].groupby("rate")
        saved = 100 * (1 - rates["passes"].mean() / full["passes"].mean())
        look = LOOKS[method]
        axes.errorbar(
            saved + (place - (len(methods) - 1) / 2) * 0.6,  # side by side, to be read
            rates["test_accuracy"].mean(),
            rates["test_accuracy"].agg(half_interval),
            color=look.colour,
            marker=look.marker,
            linestyle=":" if method == "fewer-epochs" else "-",
            markersize=5,
            linewidth=1.2,
            capsize=2,
            label=look.label,
        )
    axes.set(xlabel="sample passes saved (%)", ylabel="test accuracy (%)")
    axes.set_title(title, fontsize="medium")
    axes.legend(frameon=False, fontsize="small")
    sns.despine(figure)
    return figure


def caption(profile: str, runs: pd.DataFrame) -> str:
    """What was trained, and how often."""
    return f"{load_profile(profile).about}, n = {runs['seed'].nunique()} seeds"


def save_figure(figure: Figure, data: pd.DataFrame, name: str, profile: str) -> Path:
    """Writes NAME.png, NAME.pdf and NAME.csv, the numbers behind the figure, to figures/PROFILE/."""
    target = root() / "figures" / profile / name
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target.with_suffix(".png"), dpi=200, metadata={"Software": None})
    figure.savefig(target.with_suffix(".pdf"), metadata={"CreationDate": None, "Creator": None, "Producer": None})
    write_whole(target.with_suffix(".csv"), data.to_csv(index=False, float_format="%.6g").encode())
    return target.with_suffix(".png")
