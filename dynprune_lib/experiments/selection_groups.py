"""Groups of samples that a dynamic sampler selects always, sometimes or never (claim C4 of Raju et al. 2021)."""

import math

import numpy as np

from dynprune_lib.errors import SpecError
from dynprune_lib.samplers.static_scored import GROUPS

__all__ = ["GROUPS", "group_of"]


def group_of(selections: np.ndarray, epochs: int, prune_rate: float) -> np.ndarray:
    """Return the group of every sample by how often a bandit selected it.

    A bandit first selects every sample once, which takes ceil(1 / (1 - prune_rate)) epochs and says nothing about a
    sample; these epochs do not count. Implementation choice: *never* is selected in less than 10 % of the other epochs,
    *always* in at least 90 %.

    Args:
        selections: (N,) number of epochs in which each sample was selected.
        epochs: number of epochs of the run, each with a new selection.
        prune_rate: of the sampler, in [0, 1).

    Returns:
        (N,) indices into GROUPS.

    Raises:
        SpecError: the run is too short to select anything after every sample has been selected once.

    Example:
        >>> group_of(np.array([1, 5, 11]), epochs=12, prune_rate=0.5).tolist()
        [0, 1, 2]
    """
    trials = math.ceil(1 / (1 - prune_rate) - 1e-9)
    if epochs <= trials:
        raise SpecError(f"{epochs} epochs: at a prune rate of {prune_rate} the first {trials} select every sample once")
    share = (selections.astype(float) - 1) / (epochs - trials)
    return np.digitize(share, [0.1, 0.9])
