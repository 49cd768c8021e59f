"""Measure the speed-up at equal accuracy: how much more compute full data needs to be as accurate as a method.

Full data is trained at many lengths, each run with a learning-rate schedule of its own length. Its accuracy over
compute is the frontier that a method has to beat; the horizontal distance to it is the speed-up.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from dynprune_lib.experiments.data import dataset_title
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.report.style import model_title, style
from dynprune_lib.report.tables import label_runs
from dynprune_lib.report.timing import epoch_seconds

FORWARD = 1 / 3  # of the compute of a pass forward and backward
REPLICATES = 2000  # of the bootstrap
METHOD = ["setting", "model", "method", "method_label", "saved"]
CELL = [*METHOD, "epochs"]  # runs that differ in the seed only
PAPER = ("ucb", "epsilon-greedy", "dynamic-random")  # the methods under test, fixed before any of these runs


def measure_compute(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with their compute.

    Args:
        runs: a table of `tabulate` with runs on full data of each data set and model.

    Returns:
        The table without repeated runs and with more columns: `compute` in sample passes, where a pass without a
        backward pass counts as a third and scoring before training is included; `full_epochs`, the same in epochs of
        full data; `saved`, the share of the compute of full data in as many epochs that such runs save in the mean over
        seeds, to the nearest tenth; `method_label`, see `label_runs`; `setting`, the title of the data set, with the
        model if it is not that of the first run.
    """
    alike = ["dataset", "model", "method", "variant", "rate", "epochs"]
    runs = runs.drop_duplicates([*alike, "seed"])
    forward_only = runs["forward_only"] + runs["scoring_forward_only"]
    compute = runs["passes"] + runs["scoring_passes"] + FORWARD * forward_only
    full_epoch = (runs["passes"] / runs["epochs"]).where(runs["method"] == "full")
    full_epochs = compute / full_epoch.groupby([runs["dataset"], runs["model"]]).transform("mean")
    spent = full_epochs.groupby([runs[name] for name in alike]).transform("mean")
    nets = (" with the " + runs["model"].map(model_title)).where(runs["model"] != runs["model"].iloc[0], "")
    return runs.assign(
        compute=compute,
        full_epochs=full_epochs,
        saved=(1 - spent / runs["epochs"]).round(1) + 0.0,  # no -0.0
        method_label=label_runs(runs),
        setting=runs["dataset"].map(dataset_title) + nets,
    )


class Frontier:
    """Accuracy over compute: linear in the logarithm of compute between the measured lengths, and never decreasing.

    Means that decrease are replaced by their isotonic regression. True curves are concave, so a chord overstates the
    compute for an accuracy between two lengths, by a few percent where they differ by a factor of two.

    Args:
        compute: (lengths,) compute.
        accuracy: (lengths,) mean accuracy.

    Example:
        >>> frontier = Frontier([1, 2], [80.0, 90.0])
        >>> np.exp(frontier.log_compute([85.0, 91.0, 79.0])).round(3).tolist()
        [1.414, inf, 0.0]
    """

    def __init__(self, compute: ArrayLike, accuracy: ArrayLike) -> None:
        compute, accuracy = np.asarray(compute), np.asarray(accuracy)
        order = np.argsort(compute)
        self.logs = np.log(compute[order])
        steps = 1e-9 * np.arange(len(order))  # of equal accuracies, the shortest run has reached it
        self.accuracy = isotonic_regression(accuracy[order]).x + steps

    def log_compute(self, accuracy: ArrayLike) -> np.ndarray:
        """Return the logarithm of the compute that reaches each accuracy: -inf below the frontier, inf above it."""
        return np.interp(np.asarray(accuracy), self.accuracy, self.logs, left=-np.inf, right=np.inf)


def speed_up(runs: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return the speed-up at equal accuracy: compute of full data at the accuracy of a method / compute of the method.

    Intervals are from a bootstrap over seeds: the mean of each method and of each length of full data is drawn
    independently and goes through the interpolation. Three or five seeds are too few to resample them alone, so
    deviations from the mean are pooled over all methods and lengths of a setting, which assumes that they have one
    variance.

    Args:
        runs: a table of `measure_compute`.
        level: confidence level of each interval. Default: 0.95.

    Returns:
        One row per setting, method, compute saved and number of epochs. Columns `setting`, `model`, `method`,
        `method_label`, `saved`, `epochs`, `full_epochs`, `test_accuracy`, `n` (number of seeds), `speed_up`, `bound`,
        `low` and `high`.
        Where the accuracy is above the frontier, `speed_up` is a lower bound and `bound` is ">"; below it, an upper
        bound and "<". An end of the interval beyond the frontier is 0 or infinity; both are NaN for a single seed.
    """
    tables = [_speed_up(group, level) for _, group in runs.groupby("setting", sort=False)]
    return pd.concat(tables, ignore_index=True)


def _speed_up(runs: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return the speed-ups in one setting."""
    cells = mean_of_seeds(runs)
    is_full = cells["method"] == "full"
    full, methods = cells[is_full], cells[~is_full].reset_index(drop=True)
    log_cost = np.log(methods["full_epochs"].to_numpy())
    lowest, highest = np.log([full["full_epochs"].min(), full["full_epochs"].max()])

    def log_of_full(accuracy: np.ndarray) -> np.ndarray:
        return Frontier(full["full_epochs"], accuracy[is_full]).log_compute(accuracy[~is_full])

    logs = log_of_full(cells["test_accuracy"].to_numpy())
    drawn = np.stack([log_of_full(means) for means in draw_means(runs, cells)])
    low, high = (1 - level) / 2, (1 + level) / 2
    lows = np.quantile(np.exp(np.minimum(drawn, highest) - log_cost), low, axis=0, method="lower")
    highs = np.quantile(np.exp(np.maximum(drawn, lowest) - log_cost), high, axis=0, method="higher")
    several = methods["n"] > 1
    return methods.assign(
        speed_up=np.exp(np.clip(logs, lowest, highest) - log_cost),
        bound=np.select([np.isposinf(logs), np.isneginf(logs)], [">", "<"], ""),
        low=pd.Series(lows).where(several),
        high=pd.Series(highs).where(several),
    )


def mean_of_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean compute and test accuracy over seeds of a table of `measure_compute`, and their number `n`."""
    cells = runs.groupby(CELL, sort=False, as_index=False)
    return cells.agg(
        full_epochs=("full_epochs", "mean"), test_accuracy=("test_accuracy", "mean"), n=("seed", "nunique")
    )


def full_data_band(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean accuracy of full data at each length, with the ends `low` and `high` of its 95 % interval.

    Args:
        runs: a table of `measure_compute`, of one setting.
    """
    cells = mean_of_seeds(runs)
    low, high = np.quantile(draw_means(runs, cells), [0.025, 0.975], axis=0)
    return cells.assign(low=low, high=high)[cells["method"] == "full"].sort_values("full_epochs")


def draw_means(runs: pd.DataFrame, cells: pd.DataFrame) -> np.ndarray:
    """Return bootstrap replicates of the mean accuracies in one setting, always the same for the same runs.

    Args:
        runs: a table of `measure_compute`, of one setting.
        cells: its table of `mean_of_seeds`.

    Returns:
        (REPLICATES, cells) means of as many deviations as a cell has seeds, from all cells with several.
    """
    groups = runs.groupby(CELL, sort=False)["test_accuracy"]
    count = groups.transform("count")
    deviations = (runs["test_accuracy"] - groups.transform("mean")) * np.sqrt(count / (count - 1).where(count > 1))
    pool = deviations.dropna().to_numpy()
    pool = pool if pool.size else np.zeros(1)
    random = np.random.default_rng(0)
    draws = [random.choice(pool, (REPLICATES, n)).mean(axis=1) for n in cells["n"]]
    return cells["test_accuracy"].to_numpy() + np.stack(draws, axis=1)


def of_the_paper(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the speed-ups that claim C1 is about: the paper's three methods at 50 % compute saved.

    The three intervals of a setting and a length hold together with 95 % confidence (Bonferroni).

    Args:
        runs: a table of `measure_compute`.

    Returns:
        Rows of `speed_up`.
    """
    table = speed_up(runs, level=1 - 0.05 / len(PAPER))
    labels = [style(method).label for method in PAPER]  # without modifiers
    table = table[table["method_label"].isin(labels) & (table["saved"] == 0.5)]
    return table.sort_values("method", key=lambda methods: methods.map(PAPER.index), kind="stable")


def at_the_greatest_length(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the greatest number of epochs of each setting: those that claim C1 is judged by."""
    return table[table["epochs"] == table.groupby("setting")["epochs"].transform("max")]


class Reached(NamedTuple):
    """Compute that reaches an accuracy, in epochs of full data: a bound if it is outside of the measured lengths."""

    full_epochs: float
    bound: str


def reach(cells: pd.DataFrame, accuracy: float) -> Reached:
    """Return the compute at which one method, at the best of its lengths, reaches a test accuracy.

    Args:
        cells: rows of `mean_of_seeds`: one method at several numbers of epochs.
        accuracy: test accuracy in %.
    """
    log = float(Frontier(cells["full_epochs"], cells["test_accuracy"]).log_compute(accuracy))
    if np.isinf(log):
        return Reached(cells["full_epochs"].max(), ">") if log > 0 else Reached(cells["full_epochs"].min(), "<")
    return Reached(float(np.exp(log)), "")


def time_to_accuracy(runs: pd.DataFrame, seconds_per_epoch: pd.Series) -> pd.DataFrame:
    """Return the compute and the time that each method needs to reach round accuracies that full data reaches.

    Args:
        runs: a table of `measure_compute`.
        seconds_per_epoch: see `seconds_per_full_epoch`; empty if nothing was timed.

    Returns:
        One row per setting, accuracy, method and compute saved, for methods with several lengths. Columns `setting`,
        `accuracy` in %, `model`, `method`, `method_label`, `saved`, `full_epochs`, `bound` (see `Reached`) and
        `seconds`, NaN for models and methods that were not timed.
    """
    rows = []
    for setting, cells in mean_of_seeds(runs).groupby("setting", sort=False):
        thresholds = round_accuracies(cells.loc[cells["method"] == "full", "test_accuracy"])
        for key, curve in cells.groupby(METHOD[1:], sort=False):
            if len(curve) > 1:
                rows += [(setting, accuracy, *key, *reach(curve, accuracy)) for accuracy in thresholds]
    table = pd.DataFrame(rows, columns=["setting", "accuracy", *METHOD[1:], "full_epochs", "bound"])
    keys = pd.MultiIndex.from_frame(table[["model", "method_label", "saved"]])
    return table.assign(seconds=table["full_epochs"] * seconds_per_epoch.reindex(keys).to_numpy())


def round_accuracies(reached: pd.Series) -> list[float]:
    """Return up to five round numbers between the lowest and the highest of several accuracies.

    Example:
        >>> round_accuracies(pd.Series([84.6, 88.0, 89.7]))
        [86.0, 88.0]
    """
    low, high = reached.min(), reached.max()
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]


def seconds_per_full_epoch(records: list[RunRecord]) -> pd.Series:
    """Return the seconds that timed runs need for as many sample passes as an epoch of full data.

    Args:
        records: records of one model, see `epoch_seconds`.

    Returns:
        Median seconds, indexed by model, label of the method, and prune rate.
    """
    passes = {(record.spec.sampler, record.spec.prune_rate): record.epochs[-1].backward_passes for record in records}
    seconds = epoch_seconds(records)
    seconds *= passes["full", 0.0] / pd.Series(passes).reindex(seconds.index)
    seconds = seconds.rename(index=lambda method: style(method).label, level=0)
    return pd.concat({records[0].spec.model: seconds})
