"""What is selected from training sets with wrong labels or rare classes."""

from collections.abc import Callable, Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dynprune_lib.experiments.profile import FEWER_EPOCHS, Role
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.report.canvas import WIDTH, finish, legend_beside, use_style, write_title
from dynprune_lib.report.style import ordered, style
from dynprune_lib.report.tables import name_rows

RARE = 3  # classes that count as rare: the last ones, with the fewest samples


def wrong_labels_kept(records: Iterable[RunRecord], role: Callable[[RunSpec], Role]) -> pd.DataFrame:
    """Return the `share`, in %, of wrong labels in the subset of each epoch of runs with label noise."""
    rows = [
        (method, record.spec.label_noise, record.spec.seed, number, 100 * wrong / epoch.samples_kept)
        for record in records
        if record.composition
        for method in [role(record.spec).method]
        for number, (wrong, epoch) in enumerate(zip(record.composition.wrong_labels, record.epochs, strict=True), 1)
    ]
    return pd.DataFrame(rows, columns=["method", "label_noise", "seed", "epoch", "share"])


def plot_wrong_labels_kept(shares: pd.DataFrame, title: str) -> Figure:
    """Plot `wrong_labels_kept` over the epochs, mean over seeds, one panel per level of noise."""
    use_style()
    panels = list(shares.groupby("label_noise"))
    figure, grid = plt.subplots(
        1, len(panels), sharey=True, squeeze=False, layout="constrained", figsize=(WIDTH + 1.5, 3.0)
    )
    for axes, (noise, rows) in zip(grid.flat, panels, strict=True):
        axes.axhline(100 * noise, color=style("full").colour, linestyle="--", linewidth=1, label="all samples")
        for method in ordered(rows["method"]):
            if method in ("full", FEWER_EPOCHS):
                continue  # they keep all samples
            means, look = rows[rows["method"] == method].groupby("epoch")["share"].mean(), style(method)
            axes.plot(means, ms=3, lw=1, **look.line)
        axes.set(xlabel="epoch", title=f"{noise:.0%} of the labels are wrong")
    grid[0, 0].set(ylabel="wrong labels in the subset (%)")
    grid[0, 0].set_ylim(bottom=0)
    write_title(figure, title)
    legend_beside(figure)
    return finish(figure)


def rare_classes(records: Iterable[RunRecord], role: Callable[[RunSpec], Role]) -> pd.DataFrame:
    """Return accuracies and kept samples of rare classes, in %: one row per method and rate, means over seeds.

    The accuracies are on the test set, whose classes are equally frequent: of all classes, the first, and the RARE
    last. What is kept of the first and the last class is a mean over the epochs, `fewest of the last` its minimum.
    """
    records = [record for record in records if record.composition and record.last_epoch]
    sizes = np.max([_kept(record).max(0) for record in records], axis=0)  # of the classes: full data keeps all of them
    table = pd.DataFrame([_rare_row(record, role(record.spec), sizes) for record in records])
    groups = table.groupby(["method", "rate"])
    return name_rows(groups.mean().assign(n=groups.size()))


def _rare_row(record: RunRecord, role: Role, sizes: np.ndarray) -> dict[str, Any]:
    assert record.last_epoch
    accuracy, kept = 100 * np.array(record.last_epoch.class_accuracy), _kept(record)
    share = 100 * (kept / sizes).mean(0)
    return {
        "method": role.method,
        "rate": role.rate,
        "accuracy": 100 * record.test_accuracy,
        "first class": accuracy[0],
        f"last {RARE} classes": accuracy[-RARE:].mean(),
        "kept of the first (%)": share[0],
        "kept of the last (%)": share[-1],
        "fewest of the last": kept[:, -1].min(),
    }


def _kept(record: RunRecord) -> np.ndarray:
    """Return the number of kept samples, (epochs, classes)."""
    assert record.composition
    return np.array(record.composition.of_each_class)
