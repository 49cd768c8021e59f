"""What runs say of single samples: how far they agree, and which samples are typical of a group."""

import numpy as np
import pandas as pd
from scipy import stats

from dynprune_lib.experiments.selection_groups import GROUPS


def group_shares(groups: np.ndarray) -> pd.Series:
    """The share of the samples in each group."""
    return pd.Series(np.bincount(groups, minlength=len(GROUPS)) / len(groups), index=GROUPS)


def agreement(groups: np.ndarray, others: np.ndarray) -> pd.DataFrame:
    """How far two runs agree: for each group, the share of its samples in the one that are in it in the other as well
    (`agreement`), and what it would be if the two were independent (`chance`)."""
    rows = {
        name: {"agreement": (others[groups == place] == place).mean(), "chance": (others == place).mean()}
        for place, name in enumerate(GROUPS)
        if (groups == place).any()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def typical(counts: np.ndarray, groups: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """For each group, positions of `count` samples that are in it in every run, if there are as many: the first ones,
    and of *sometimes* those selected nearest to half of the time. `counts` and `groups` are (runs, N)."""
    in_all = {name: (groups == place).all(0).nonzero()[0] for place, name in enumerate(GROUPS)}
    distance = np.abs(counts.mean(0) - counts.max() / 2)
    in_all["sometimes"] = in_all["sometimes"][np.argsort(distance[in_all["sometimes"]], kind="stable")]
    return {name: index[:count] for name, index in in_all.items()}


def rank_correlation(rows: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation between rows (rows, N), over the samples that are finite in all: (rows, rows)."""
    finite = rows[:, np.isfinite(rows).all(0)]
    return np.corrcoef(stats.rankdata(finite, axis=1))
