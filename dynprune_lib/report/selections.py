"""Analyse which samples runs select: agreement between runs, and samples that are typical of a group."""

import numpy as np
import pandas as pd
from scipy import stats

from dynprune_lib.experiments.selection_groups import GROUPS


def group_shares(groups: np.ndarray) -> pd.Series:
    """Return the share of the samples in each group.

    Args:
        groups: (N,) indices into GROUPS, see `group_of`.

    Example:
        >>> group_shares(np.array([0, 1, 1, 2])).to_dict()
        {'never': 0.25, 'sometimes': 0.5, 'always': 0.25}
    """
    return pd.Series(np.bincount(groups, minlength=len(GROUPS)) / len(groups), index=GROUPS)


def agreement(groups: np.ndarray, others: np.ndarray) -> pd.DataFrame:
    """Return how far two runs agree on the groups of the samples.

    Args:
        groups: (N,) indices into GROUPS, of one run.
        others: the same of another run.

    Returns:
        One row per group of the first run: `agreement`, the share of its samples that are in the same group in the
        other run; `chance`, the value of that share for independent runs.

    Example:
        >>> agreement(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])).loc["never"].to_dict()
        {'agreement': 0.5, 'chance': 0.25}
    """
    rows = {
        name: {"agreement": (others[groups == place] == place).mean(), "chance": (others == place).mean()}
        for place, name in enumerate(GROUPS)
        if (groups == place).any()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def typical(counts: np.ndarray, groups: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Return samples that are in the same group in every run.

    Args:
        counts: (runs, N) number of epochs in which each sample was selected.
        groups: (runs, N) indices into GROUPS.
        count: largest number of samples per group.

    Returns:
        For each group, the positions of its first samples; of *sometimes*, of those selected in closest to half of the
        epochs.
    """
    in_all = {name: (groups == place).all(0).nonzero()[0] for place, name in enumerate(GROUPS)}
    distance = np.abs(counts.mean(0) - counts.max() / 2)
    in_all["sometimes"] = in_all["sometimes"][np.argsort(distance[in_all["sometimes"]], kind="stable")]
    return {name: index[:count] for name, index in in_all.items()}


def rank_correlation(rows: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation between rows.

    Args:
        rows: (rows, N) scores; samples with a value that is not finite in some row are left out.

    Returns:
        (rows, rows) correlations.

    Example:
        >>> rank_correlation(np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 9.0]])).round(2).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    finite = rows[:, np.isfinite(rows).all(0)]
    return np.corrcoef(stats.rankdata(finite, axis=1))
