"""Compare means with a run-to-run variance that is pooled over cells.

A cell is a method with its settings at one rate; its runs differ in the seed only. Runs of two methods with the same
seed count as independent: they hardly correlate (0.06 in the records of `laptop`), and pairing them would only cost
degrees of freedom. The same rules hold for every comparison:

- The variance is pooled over the cells of one rate, never over rates, since it grows with the rate.
- Cells whose variance is too large for their rate by Cochran's test form a pool of their own, by the same rule.
  Differences between two pools are tested by Welch's test. (Decided after seeing the results: alone, with two degrees
  of freedom each, not even a difference of 30 points is significant in a large family.)
- All comparisons of one question are one family, in both directions, with the family-wise error rate held at 5 %.
- A cell with a single run has a mean, but no interval and no test. With fewer than SEEDS runs, it decides nothing.
"""

import warnings
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from scipy import optimize, stats

ERROR = 0.05  # family-wise error rate; intervals have a level of 1 - ERROR
OUTLIER = 0.01  # level of Cochran's test, as in ISO 5725-2
SEEDS = 3  # of a cell that decides something
POWER = 0.8  # with which the smallest detectable difference is detected


def pool_variances(runs: pd.DataFrame, cell: Sequence[str], by: str | Sequence[str] = "rate") -> pd.DataFrame:
    """Return the mean of each cell, and the run-to-run variance pooled over the cells of one rate.

    Args:
        runs: one row per run, with a column `test_accuracy`.
        cell: columns that define a cell, including `by`.
        by: column, or columns, with separate pools for each value. Default: "rate".

    Returns:
        One row per cell: `mean`; `n`, the number of runs; `own_variance`; `variance` with `df` degrees of freedom;
        `pool`, equal for cells with a common variance. With a single run, variances are NaN.

    Example:
        >>> runs = pd.DataFrame({"method": list("aabb"), "rate": 0.5, "test_accuracy": [1.0, 3.0, 5.0, 7.0]})
        >>> pool_variances(runs, ["method", "rate"])[["mean", "variance", "df"]].values.tolist()
        [[2.0, 2.0, 2.0], [6.0, 2.0, 2.0]]
    """
    cells = runs.groupby(list(cell))["test_accuracy"].agg(mean="mean", n="count", own_variance="var")
    df, own = (cells["n"] - 1.0).to_numpy(), cells["own_variance"].to_numpy()
    variance, pooled_df, pool = own.copy(), np.where(df > 0, df, np.nan), np.arange(len(cells))
    for rows in cells.groupby(level=by).indices.values():
        rows = rows[df[rows] > 0]
        while len(rows):
            outlying = _has_outlying_variance(own[rows], df[rows])
            alike, rows = rows[~outlying], rows[outlying]
            variance[alike] = np.average(own[alike], weights=df[alike])
            pooled_df[alike], pool[alike] = df[alike].sum(), alike[0]
    return cells.assign(variance=variance, df=pooled_df, pool=pool)


def _has_outlying_variance(variance: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return which variances are too large to be pooled: Cochran's test of the largest, repeated until it passes."""
    outlying = np.zeros(len(variance), bool)
    while (count := (~outlying).sum()) > 1:
        weights = np.where(outlying, 0, df)
        others = weights.sum() - weights
        with np.errstate(divide="ignore", invalid="ignore"):  # all others may have zero variance
            ratio = variance / (((weights * variance).sum() - weights * variance) / others)
        p = np.nan_to_num(count * stats.f.sf(ratio, df, others), nan=1)
        p[outlying] = 1
        if p.min() >= OUTLIER:
            break
        outlying[p.argmin()] = True
    return outlying


def differences(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return differences of the means of cells, each with its own 95 % interval.

    Args:
        first: rows of a table of `pool_variances`.
        second: rows of the same table that are subtracted, each named by the index as the one in `first`.

    Returns:
        One row per name that both have, in percentage points: `mean`; `ci95`, the half-width of its interval; `n`, the
        smaller number of runs; `se` with `df` degrees of freedom; `p`, two-sided, of this difference alone;
        `ci95_unpooled`, from the two cells alone (Welch). Without an interval, all but `mean` and `n` are NaN.

    Example:
        >>> runs = pd.DataFrame({"method": list("aabb"), "rate": 0.5, "test_accuracy": [1.0, 3.0, 5.0, 7.0]})
        >>> cells = pool_variances(runs, ["method", "rate"])
        >>> differences(cells.loc["b"], cells.loc["a"])[["mean", "ci95"]].round(2).to_dict("index")
        {0.5: {'mean': 4.0, 'ci95': 6.09}}
    """
    names = first.index.intersection(second.index, sort=False)
    both = [first.loc[names], second.loc[names]]
    first, second = both
    mean, (se, df) = first["mean"] - second["mean"], _standard_error(first, second)
    own = [each.assign(variance=each["own_variance"], df=each["n"] - 1.0, pool=side) for side, each in enumerate(both)]
    own_se, own_df = _standard_error(*own)
    columns = {
        "mean": mean,
        "ci95": stats.t.isf(ERROR / 2, df) * se,
        "n": np.minimum(first["n"], second["n"]),
        "se": se,
        "df": df,
        "p": 2 * stats.t.sf((mean / se).abs(), df),
        "ci95_unpooled": stats.t.isf(ERROR / 2, own_df) * own_se,
    }
    return pd.DataFrame(columns)


def _standard_error(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the standard error of differences and its degrees of freedom (Welch's for two different variances)."""
    squares = [cells["variance"] / cells["n"] for cells in (first, second)]
    total = squares[0] + squares[1]
    welch = total**2 / (squares[0] ** 2 / first["df"] + squares[1] ** 2 / second["df"])
    return np.sqrt(total), first["df"].where(first["pool"] == second["pool"], welch)


def average(table: pd.DataFrame) -> pd.Series:
    """Return the mean of differences that share no cell, weighted by the inverse of the squared `se`.

    Returns:
        `mean`; `ci95`, the half-width of its interval, with the fewest degrees of freedom of all; `n`, how many have an
        interval and count.

    Example:
        >>> table = pd.DataFrame({"mean": [1.0, 2.0], "se": [0.1, 0.2], "df": 1e6})
        >>> average(table).round(2).tolist()  # (4 x 1 + 1 x 2) / 5
        [1.2, 0.18, 2.0]
    """
    known = table.dropna(subset="se")
    weights = known["se"] ** -2
    mean = (weights * known["mean"]).sum() / weights.sum()
    ci95 = stats.t.isf(ERROR / 2, known["df"].min()) / np.sqrt(weights.sum())
    return pd.Series({"mean": mean, "ci95": ci95, "n": len(known)})


def holm(table: pd.DataFrame) -> pd.DataFrame:
    """Test all differences of one question together, by Holm's method (1979).

    Returns:
        The table of `differences` with `p_family`, the p value adjusted for the number of comparisons; `side`, "above"
        or "below" zero if that is less than ERROR and both cells have SEEDS runs, else empty; `detectable`, see
        `smallest_detectable`.

    Example:
        >>> table = pd.DataFrame({"mean": [1.0, -1.0, 1.0], "p": [0.06, 0.01, 0.02], "se": 0.3, "df": 9.0})
        >>> holm(table)[["p_family", "side"]].values.tolist()
        [[0.06, ''], [0.03, 'below'], [0.04, 'above']]
    """
    p = table["p"].to_numpy()
    order, adjusted = np.argsort(p), np.empty(len(p))  # NaN is last
    remaining = (np.isfinite(p).sum() - np.arange(len(p))).clip(min=1)
    adjusted[order] = np.maximum.accumulate(p[order] * remaining).clip(max=1)
    return _decide(table, adjusted)


def dunnett(runs: pd.DataFrame, cell: str, baseline: Hashable, by: str | Sequence[str] = "rate") -> pd.DataFrame:
    """Compare all cells of a rate with one baseline, by Dunnett's test (1955), at several rates together.

    Cells of another pool than the baseline's are compared by Welch's test. Each test gets a share of the error rate in
    proportion to its number of comparisons, which keeps the family-wise error rate at most ERROR.

    Args:
        runs: one row per run, with a column `test_accuracy`.
        cell: column that names the cells of a rate.
        baseline: name of the baseline; rates without it are left out.
        by: as for `pool_variances`. Default: "rate".

    Returns:
        The columns of `holm`, indexed by `by` and `cell`.
    """
    by = [by] if isinstance(by, str) else list(by)
    cells = pool_variances(runs, [*by, cell], by)
    pairs = {key: (*key[:-1], baseline) for key in cells.index if key[-1] != baseline}
    controls = pd.Series({key: control for key, control in pairs.items() if control in cells.index}, dtype=object)
    table = differences(cells.loc[controls.index], cells.loc[list(controls)].set_axis(controls.index))
    controls = controls[table["p"].notna()]
    p, values = table["p"] * len(controls), runs.groupby([*by, cell])["test_accuracy"].agg(np.array)
    is_pooled = cells.loc[controls.index, "pool"].to_numpy() == cells.loc[list(controls), "pool"].to_numpy()
    for control, keys in controls[is_pooled].groupby(controls).groups.items():
        with warnings.catch_warnings():  # seeds may agree; the variance is that of all cells together
            warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
            tested = stats.dunnett(*values.loc[keys], control=values.loc[control], rng=0)
        p[keys] = tested.pvalue * len(controls) / len(keys)
    return _decide(table, p.clip(upper=1).to_numpy())


def _decide(table: pd.DataFrame, p_family: np.ndarray) -> pd.DataFrame:
    comparisons = int(np.isfinite(p_family).sum())
    is_clear = (p_family < ERROR) & (table.get("n", SEEDS) >= SEEDS)
    return table.assign(
        p_family=p_family,
        side=np.select([is_clear & (table["mean"] > 0), is_clear & (table["mean"] < 0)], ["above", "below"], ""),
        detectable=[smallest_detectable(row.se, row.df, comparisons) for row in table.itertuples()],
    )


def smallest_detectable(se: float, df: float, comparisons: int = 1) -> float:
    """Return the smallest difference, in the unit of `se`, that a two-sided test finds with a probability of POWER.

    Each of the `comparisons` is tested at ERROR / comparisons (Bonferroni; the tests of this module find a little
    more).

    Example:
        >>> round(smallest_detectable(se=1.0, df=1e6), 2)  # 1.96 + 0.84
        2.8
    """
    if np.isnan(se) or np.isnan(df):
        return float("nan")
    critical = stats.t.isf(ERROR / 2 / comparisons, df)
    shift = optimize.brentq(lambda shift: stats.nct.sf(critical, df, shift) - POWER, 0, 3 * critical + 3)
    return float(shift * se)


def without_loss(table: pd.DataFrame, margin: float) -> pd.Series:
    """Return which differences are not inferior: the lower end of the interval is above -margin (one-sided, 2.5 %).

    Example:
        >>> without_loss(pd.DataFrame({"mean": [-0.1, -0.1], "ci95": [0.3, 0.5]}), margin=0.5).tolist()
        [True, False]
    """
    return table["mean"] - table["ci95"] > -margin
