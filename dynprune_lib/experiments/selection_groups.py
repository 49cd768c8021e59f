"""Samples that a dynamic sampler selects always, sometimes or never (claim C4 of Raju et al. 2021)."""

import math

import numpy as np

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
