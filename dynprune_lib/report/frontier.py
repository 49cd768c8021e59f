"""Measure the speed-up at equal accuracy: how much more compute full data needs to be as accurate as a method.

Full data is trained at many lengths, each with a learning-rate schedule of its own length, and a smooth curve through
them gives its accuracy at any compute between. Each method is compared with it upwards (points at equal compute, well
defined where the curve is flat) and sideways (compute at equal accuracy, what claim C1 is about). Intervals are
Student's, with a run-to-run variance pooled over the cells of a setting.
"""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from scipy import optimize, stats

from dynprune_lib.experiments.data import dataset_title
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.report.statistics import ERROR, SEEDS, smallest_detectable
from dynprune_lib.report.style import model_title, style
from dynprune_lib.report.tables import label_runs
from dynprune_lib.report.timing import epoch_seconds

FORWARD = 1 / 3  # of the compute of a pass forward and backward
METHOD = ["setting", "model", "method", "method_label", "saved"]
CELL = [*METHOD, "epochs"]  # runs that differ in the seed only
PAPER = ("ucb", "epsilon-greedy", "dynamic-random")  # the methods under test, fixed before any of these runs
DEGREE = 3  # of the curve in the logarithm of compute; no more than there are lengths
FACTORS = (0.2, 5.0)  # speed-ups that are looked for


def measure_compute(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with their compute.

    Args:
        runs: a table of `tabulate` with runs on full data of each data set and model.

    Returns:
        The table without repeated runs, and `compute` in sample passes, scoring included, where a forward pass alone
        counts as a third; `full_epochs`, the same in epochs of full data; `saved`, the mean share of compute saved
        against as many epochs of full data, to the nearest tenth; `method_label`, see `label_runs`; `setting`, the
        titles of the data set and, if there are several, of the model.
    """
    alike = ["dataset", "model", "method", "variant", "rate", "epochs"]
    runs = runs.drop_duplicates([*alike, "seed"])
    forward_only = runs["forward_only"] + runs["scoring_forward_only"]
    compute = runs["passes"] + runs["scoring_passes"] + FORWARD * forward_only
    full_epoch = (runs["passes"] / runs["epochs"]).where(runs["method"] == "full")
    full_epochs = compute / full_epoch.groupby([runs["dataset"], runs["model"]]).transform("mean")
    spent = full_epochs.groupby([runs[name] for name in alike]).transform("mean")
    nets = ", " + runs["model"].map(model_title) if runs["model"].nunique() > 1 else ""
    return runs.assign(
        compute=compute,
        full_epochs=full_epochs,
        saved=(1 - spent / runs["epochs"]).round(1) + 0.0,  # no -0.0
        method_label=label_runs(runs),
        setting=runs["dataset"].map(dataset_title) + nets,
    )


class Curve:
    """Accuracy of full data over compute: a polynomial in the logarithm of compute, fitted by weighted least squares.

    It takes rows of `mean_of_seeds` of one setting. `variance`, pooled over all cells, has `df` degrees of freedom.
    """

    def __init__(self, cells: pd.DataFrame) -> None:
        self.df = float((cells["n"] - 1).sum())
        self.variance = float(((cells["n"] - 1) * cells["own_variance"].fillna(0)).sum() / max(self.df, 1))
        full = cells[cells["method"] == "full"].sort_values("full_epochs")
        self.logs, means = np.log(full["full_epochs"].to_numpy()), full["test_accuracy"].to_numpy()
        self.centre, self.degree = self.logs.mean(), min(DEGREE, len(full) - 1)
        roots = np.sqrt(full["n"].to_numpy())
        design = self._powers(self.logs) * roots[:, None]
        self.coefficients, *_ = np.linalg.lstsq(design, means * roots, rcond=None)
        self.inverse = np.linalg.pinv(design.T @ design)

    def _powers(self, logs: np.ndarray) -> np.ndarray:
        return np.vander(logs - self.centre, self.degree + 1)

    def accuracy(self, logs: np.ndarray) -> np.ndarray:
        """Return the accuracy at logarithms of compute: below the shortest length along the tangent, which understates
        how fast accuracy falls there, above the longest length its value."""
        inside = self._powers(np.clip(logs, self.logs[0], self.logs[-1])) @ self.coefficients
        below = np.minimum(logs - self.logs[0], 0)
        return inside + below * max(np.polyval(np.polyder(self.coefficients), self.logs[0] - self.centre), 0)

    def covariance(self, logs: np.ndarray) -> np.ndarray:
        """Return the covariance of `accuracy` in units of `variance`."""
        powers = self._powers(np.clip(logs, self.logs[0], self.logs[-1]))
        return powers @ self.inverse @ powers.T

    def compute_for(self, accuracy: np.ndarray) -> np.ndarray:
        """Return the compute that first reaches each accuracy: 0 below the curve, infinity above it; nothing is
        extrapolated."""
        grid = np.linspace(self.logs[0], self.logs[-1], 1001)
        reached = np.maximum.accumulate(self.accuracy(grid)) + 1e-9 * np.arange(len(grid))  # the first that reaches it
        return np.exp(np.interp(accuracy, reached, grid, left=-np.inf, right=np.inf))

    def quantile(self, level: float) -> float:
        """Return the quantile of Student's t of a two-sided interval; NaN if no cell has two seeds."""
        return float(stats.t.isf((1 - level) / 2, self.df)) if self.df else float("nan")


def mean_of_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell of `measure_compute`: mean compute and accuracy, `n` and `own_variance`."""
    groups = runs.groupby(CELL, sort=False, as_index=False)
    return groups.agg(
        full_epochs=("full_epochs", "mean"),
        test_accuracy=("test_accuracy", "mean"),
        n=("seed", "nunique"),
        own_variance=("test_accuracy", "var"),
    )


def speed_up(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how each method at each length compares with full data.

    Args:
        runs: a table of `measure_compute`; settings with a single length of full data are left out.

    Returns:
        The table of `mean_of_seeds` without full data, and `points` above full data at equal compute, with the
        half-width `ci95`; `speed_up`, the compute of full data of the same accuracy over that of the method, with its
        interval from `low` to `high`. Beyond the measured lengths `speed_up` is a bound, `bound` is ">" or "<", and the
        end of the interval is infinite or 0. A single seed has no interval.
    """
    tables = [_speed_up(cells) for cells in _settings(runs)]
    return pd.concat(tables, ignore_index=True).drop(columns="own_variance")


def _settings(runs: pd.DataFrame) -> list[pd.DataFrame]:
    cells = [rows for _, rows in mean_of_seeds(runs).groupby("setting", sort=False)]
    return [rows for rows in cells if (rows["method"] == "full").sum() > 1]


def _speed_up(cells: pd.DataFrame) -> pd.DataFrame:
    curve, methods = Curve(cells), cells[cells["method"] != "full"].reset_index(drop=True)
    accuracy, spent = methods["test_accuracy"].to_numpy(), methods["full_epochs"].to_numpy()
    logs, several = np.log(spent), methods["n"] > 1
    errors = np.sqrt(curve.variance * (1 / methods["n"] + np.diag(curve.covariance(logs)))) * curve.quantile(0.95)
    factors, low, high = (curve.compute_for(accuracy + error) / spent for error in (0, -errors, errors))
    ends = np.exp(curve.logs[[0, -1]])
    return methods.assign(
        points=accuracy - curve.accuracy(logs),
        ci95=errors.where(several),
        speed_up=np.clip(factors, ends[0] / spent, ends[1] / spent),
        bound=np.select([np.isposinf(factors), factors == 0], [">", "<"], ""),
        low=pd.Series(np.minimum(low, ends[1] / spent)).where(several),
        high=pd.Series(np.maximum(high, ends[0] / spent)).where(several),
    )


def common_speed_up(runs: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return one speed-up per method: the factor by which all its lengths together lie left of the curve of full data.

    Args:
        runs: a table of `measure_compute`; settings with a single length of full data are left out.
        level: of the intervals. Default: 0.95.

    Returns:
        One row per setting, method and compute saved: mean `points` above full data at equal compute with the
        half-width `ci`, `se` and `df`; `speed_up` with its interval from `low` to `high`, 0 or infinite where nothing
        within FACTORS is excluded; `n`, the smallest number of seeds of a cell; `lengths`; `p_common`, of the test that
        one factor holds at all lengths, NaN for one length.
    """
    rows = []
    for cells in _settings(runs):
        curve = Curve(cells)
        for key, group in cells[cells["method"] != "full"].groupby(METHOD, sort=False):
            rows.append(dict(zip(METHOD, key, strict=True)) | _common(curve, group, level))
    return pd.DataFrame(rows)


def _common(curve: Curve, cells: pd.DataFrame, level: float) -> dict[str, float]:
    logs, accuracy = np.log(cells["full_epochs"].to_numpy()), cells["test_accuracy"].to_numpy()
    noise = np.diag(1 / cells["n"].to_numpy())
    quantile = curve.quantile(level)
    se = np.sqrt(curve.variance * (noise + curve.covariance(logs)).mean())

    def distance(shift: float) -> float:
        """Return the squared distance of the cells from the shifted curve, in units of the variance."""
        left = accuracy - curve.accuracy(logs + shift)
        spread = noise + curve.covariance(logs + shift)
        return float(left @ np.linalg.solve(spread, left)) / max(curve.variance, 1e-12)

    shifts = np.log(np.geomspace(*FACTORS, 801))
    distances = np.array([distance(shift) for shift in shifts])
    best = int(distances.argmin())
    around = (float(shifts[max(best - 1, 0)]), float(shifts[min(best + 1, len(shifts) - 1)]))
    found = optimize.minimize_scalar(distance, bounds=around, method="bounded")
    within = shifts[distances <= found.fun + quantile**2]
    lowest, highest = (within.min(), within.max()) if len(within) else (found.x, found.x)
    count, several = len(cells), bool((cells["n"] > 1).all())
    return {
        "points": float((accuracy - curve.accuracy(logs)).mean()),
        "se": float(se) if several else float("nan"),
        "df": curve.df,
        "ci": float(quantile * se) if several else float("nan"),
        "speed_up": float(np.exp(found.x)),
        "low": (0.0 if lowest == shifts[0] else float(np.exp(lowest))) if several else float("nan"),
        "high": (float("inf") if highest == shifts[-1] else float(np.exp(highest))) if several else float("nan"),
        "n": int(cells["n"].min()),
        "lengths": count,
        "p_common": float(stats.f.sf(found.fun / (count - 1), count - 1, curve.df)) if count > 1 else float("nan"),
    }


def of_the_paper(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `common_speed_up` for claim C1, PAPER at 50 % compute saved, with intervals at 95 % together
    (Bonferroni), the `side` of full data at equal compute, and the `detectable` points, see `smallest_detectable`."""
    labels = [style(method).label for method in PAPER]  # without modifiers
    is_tested = runs["method_label"].isin(labels) & (runs["saved"] == 0.5)
    count = len(runs.loc[is_tested, ["setting", "method"]].drop_duplicates())
    table = common_speed_up(runs, level=1 - ERROR / max(count, 1))
    table = table[table["method_label"].isin(labels) & (table["saved"] == 0.5)]
    table = table.sort_values("method", key=lambda methods: methods.map(PAPER.index), kind="stable")
    clear = (table["points"].abs() > table["ci"]) & (table["n"] >= SEEDS)
    side = np.select([clear & (table["points"] > 0), clear], ["above", "below"], "")
    return table.assign(
        side=side, detectable=[smallest_detectable(row.se, row.df, count) for row in table.itertuples()]
    )


def full_data_band(runs: pd.DataFrame) -> pd.DataFrame:
    """Return `mean_of_seeds` of full data in one setting with `ci95`, and the `curve` with its 95 % band `low` to
    `high`."""
    cells = mean_of_seeds(runs)
    full, curve = cells[cells["method"] == "full"].sort_values("full_epochs"), Curve(cells)
    logs = np.log(full["full_epochs"].to_numpy())
    quantile = curve.quantile(0.95)
    half = quantile * np.sqrt(curve.variance * np.diag(curve.covariance(logs)))
    at = curve.accuracy(logs)
    return full.assign(ci95=quantile * np.sqrt(curve.variance / full["n"]), curve=at, low=at - half, high=at + half)


def reach(cells: pd.DataFrame, accuracy: float) -> tuple[float, str]:
    """Return the compute, in epochs of full data, at which one method reaches a test accuracy in %, and "<" or ">" if
    that is a bound. Between two measured lengths, accuracy is linear in the logarithm of compute."""
    cells = cells.sort_values("full_epochs")
    spent, best = cells["full_epochs"].to_numpy(), np.maximum.accumulate(cells["test_accuracy"].to_numpy())
    if accuracy > best[-1]:
        return float(spent[-1]), ">"
    if accuracy < best[0]:
        return float(spent[0]), "<"
    first = np.append(True, np.diff(best) > 0)  # a longer run that gains nothing is not needed
    return float(np.exp(np.interp(accuracy, best[first], np.log(spent[first])))), ""


def time_to_accuracy(runs: pd.DataFrame, seconds_per_epoch: pd.Series) -> pd.DataFrame:
    """Return the compute and the time that each method needs to reach round accuracies that full data reaches.

    Args:
        runs: a table of `measure_compute`.
        seconds_per_epoch: see `seconds_per_full_epoch`; empty if nothing was timed.

    Returns:
        One row per setting, accuracy in %, method and compute saved, for methods with several lengths: `full_epochs`,
        `bound` (see `reach`) and `seconds`, NaN where not timed.
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
    """Return up to five round numbers between the lowest and the highest accuracy.

    Example:
        >>> round_accuracies(pd.Series([84.6, 88.0, 89.7]))
        [86.0, 88.0]
    """
    low, high = reached.min(), reached.max()
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]


def seconds_per_full_epoch(records: list[RunRecord]) -> pd.Series:
    """Return the median seconds that timed runs of one model need for the passes of an epoch of full data, indexed by
    model, label of the method, and prune rate."""
    passes = {(record.spec.sampler, record.spec.prune_rate): record.epochs[-1].backward_passes for record in records}
    seconds = epoch_seconds(records)
    seconds *= passes["full", 0.0] / pd.Series(passes).reindex(seconds.index)
    seconds = seconds.rename(index=lambda method: style(method).label, level=0)
    return pd.concat({records[0].spec.model: seconds})
