"""What records say besides the accuracy: of classes and calibration, of who is left out, of wrong labels kept."""

from collections.abc import Callable, Iterable

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

COLUMNS = (
    "accuracy of the worst class (%)",
    "negative log-likelihood",
    "calibration error (%)",
    "left out again (%)",
    "longest absence (epochs)",
)
RARE = 3  # classes that count as rare: the last ones, with the fewest samples


def beyond_accuracy(records: Iterable[RunRecord], role: Callable[[RunSpec], Role]) -> pd.DataFrame:
    """Return COLUMNS of the last epoch and the number of seeds `n`, by method and rate, mean over seeds.

    `left out again` is the share of an epoch's left-out samples that the epoch before left out too; `longest absence`
    the median over samples of the longest run of epochs without it. Records of version 0.1 do not count.
    """
    rows = []
    for record in records:
        if (last := record.last_epoch) and (left_out := record.left_out):
            of_last = 100 * min(last.class_accuracy), record.epochs[-1].test_loss, 100 * last.calibration_error
            again = 100 * pd.Series(left_out.overlap, dtype=float).mean()
            rows.append((*role(record.spec), *of_last, again, left_out.median_absence))
    return _mean_of_seeds(pd.DataFrame(rows, columns=["method", "rate", *COLUMNS]))


def rare_classes(records: Iterable[RunRecord], role: Callable[[RunSpec], Role]) -> pd.DataFrame:
    """Return accuracies and kept samples of rare classes, in %, by method and rate, mean over seeds.

    The accuracies are on the test set, whose classes are equally frequent: of all classes, the first, and the RARE
    last. What is kept of the first and the last class is a mean over the epochs, `fewest of the last` its minimum.
    """
    shares, rows = ["kept of the first (%)", "kept of the last (%)"], []
    for record in records:
        if (composition := record.composition) and (last := record.last_epoch):
            accuracy, kept = np.array(last.class_accuracy), np.array(composition.of_each_class)
            of_classes = record.test_accuracy, accuracy[0], accuracy[-RARE:].mean()
            rows.append((*role(record.spec), *of_classes, *kept[:, [0, -1]].mean(0), kept[:, -1].min()))
    named = ["accuracy", "first class", f"last {RARE} classes"]
    table = pd.DataFrame(rows, columns=["method", "rate", *named, *shares, "fewest of the last"])
    table[named] *= 100
    table[shares] *= 100 / table[shares].max()  # full data keeps all samples
    return _mean_of_seeds(table)


def _mean_of_seeds(table: pd.DataFrame) -> pd.DataFrame:
    groups = table.groupby(["method", "rate"])
    return name_rows(groups.mean().assign(n=groups.size()))


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
    size, panels = (WIDTH + 1.5, 3.0), list(shares.groupby("label_noise"))
    figure, grid = plt.subplots(1, len(panels), sharey=True, squeeze=False, layout="constrained", figsize=size)
    for axes, (noise, rows) in zip(grid.flat, panels, strict=True):
        axes.axhline(100 * noise, color=style("full").colour, linestyle="--", label="all samples")
        for method in ordered(rows["method"]):
            if method in ("full", FEWER_EPOCHS):
                continue  # they keep all samples
            means, look = rows[rows["method"] == method].groupby("epoch")["share"].mean(), style(method)
            axes.plot(means, ms=3, **look.line)
        axes.set(xlabel="epoch", title=f"{noise:.0%} of the labels are wrong")
    grid[0, 0].set(ylabel="wrong labels in the subset (%)")
    grid[0, 0].set_ylim(bottom=0)
    write_title(figure, title)
    legend_beside(figure)
    return finish(figure)
