"""Samples that a dynamic sampler selects always, sometimes or never (claim C4 of Raju et al. 2021)."""

import math

import numpy as np
import pandas as pd
from scipy import stats

GROUPS = ("never", "sometimes", "always")


def group_of(selections: np.ndarray, epochs: int, prune_rate: float) -> np.ndarray:
    """The group of every sample by how often a bandit selected it: (N,) positions in GROUPS.

    A bandit first tries every sample once, which takes ceil(1 / (1 - prune_rate)) epochs and says nothing of a sample.
    Our choice: *never* is selected in less than 10 % of the epochs after those, *always* in at least 90 %.

    Args:
        selections: (N,) in how many epochs each sample was selected.
        epochs: of the training, with a new selection in each.
        prune_rate: of the sampler.

    Raises:
        ValueError: the training is too short to choose after the first trials.
    """
    trials = math.ceil(1 / (1 - prune_rate) - 1e-9)
    if epochs <= trials:
        raise ValueError(f"{epochs} epochs: at a prune rate of {prune_rate} the first {trials} try every sample once")
    share = (selections.astype(float) - 1) / (epochs - trials)
    return np.digitize(share, [0.1, 0.9])


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
