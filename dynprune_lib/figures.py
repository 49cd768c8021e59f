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
}


def use_style() -> None:
    """Sizes that are readable at the width of one column (3.5 inches), thin axes, a light grid."""
    sns.set_theme(
        context="paper",
        style="ticks",
        rc={"figure.figsize": (4.2, 3.0), "figure.dpi": 150, "axes.grid": True, "grid.alpha": 0.3, "font.size": 9},
    )


def tabulate(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row a run: method, prune_rate, seed, test_accuracy in % (of the last epoch), sample passes, seconds."""
    rows = [
        {
            "method": record.spec.sampler,
            "prune_rate": record.spec.prune_rate,
            "seed": record.spec.seed,
            "test_accuracy": 100 * record.test_accuracy,
            "backward_passes": record.total("backward_passes"),
            "forward_passes": record.total("forward_passes"),
            "seconds": record.seconds,
        }
        for record in records
    ]
    return pd.DataFrame(rows).sort_values(["prune_rate", "method", "seed"], ignore_index=True)


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
    """Mean test accuracy in % with its 95 % interval: one row a method, one column a pruning rate."""
    cells = runs.groupby(["method", "prune_rate"])["test_accuracy"].agg(format_mean).unstack(fill_value="")
    cells = cells.reindex([method for method in LOOKS if method in cells.index])
    cells.index = [LOOKS[method].label for method in cells.index]
    return cells.rename(columns=lambda rate: f"{rate:.0%}" if rate else "none").rename_axis(columns="pruned")


def paired_differences(runs: pd.DataFrame, method: str, other: str) -> pd.DataFrame:
    """By how many points of accuracy `method` is above `other` at each pruning rate that both have, paired by seed:
    columns mean, half (of the 95 % interval), n."""
    one, two = (
        runs[runs["method"] == name].set_index(["prune_rate", "seed"])["test_accuracy"] for name in (method, other)
    )
    return (one - two).dropna().groupby("prune_rate").agg(mean="mean", half=half_interval, n="count")


def judge(differences: pd.DataFrame) -> str:
    """`reproduced` if the mean is above zero by more than its interval at every rate, `not reproduced` if at none,
    else `partly reproduced`."""
    above = differences["mean"] > differences["half"]
    return "reproduced" if above.all() else "partly reproduced" if above.any() else "not reproduced"


def describe_differences(differences: pd.DataFrame) -> str:
    """`+0.5 ± 0.3 at 30 %, ...` in points of accuracy."""
    rows = differences.itertuples()
    return ", ".join(f"{row.mean:+.1f} ± {row.half:.1f} at {100 * row.Index:.0f} %" for row in rows)


def plot_accuracy_vs_pruning_rate(runs: pd.DataFrame, title: str) -> Figure:
    """One line a method, with 95 % intervals; the full data as a level with its interval as a band."""
    use_style()
    figure, axes = plt.subplots(layout="constrained")
    full = runs.loc[runs["method"] == "full", "test_accuracy"]
    look = LOOKS["full"]
    axes.axhline(full.mean(), color=look.colour, linestyle="--", linewidth=1, label=look.label)
    axes.axhspan(full.mean() - half_interval(full), full.mean() + half_interval(full), color=look.colour, alpha=0.12)
    methods = [method for method in LOOKS if method != "full" and method in set(runs["method"])]
    for place, method in enumerate(methods):
        rates = runs[runs["method"] == method].groupby("prune_rate")["test_accuracy"]
        look = LOOKS[method]
        axes.errorbar(
            100 * np.array(sorted(rates.groups)) + (place - (len(methods) - 1) / 2) * 0.6,  # apart, to be read
            rates.mean(),
            rates.agg(half_interval),
            color=look.colour,
            marker=look.marker,
            markersize=5,
            linewidth=1.2,
            capsize=2,
            label=look.label,
        )
    axes.set(xlabel="samples left out of every epoch (%)", ylabel="test accuracy (%)", title=title)
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
