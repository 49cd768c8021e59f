"""Groups of samples that a dynamic sampler selects always, sometimes or never (claim C4 of Raju et al. 2021)."""

import math

import numpy as np

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.samplers.static import GROUPS

__all__ = ["GROUPS", "group_of", "selection_counts"]


def group_of(selections: np.ndarray, spec: RunSpec) -> np.ndarray:
    """Return the group of every sample, (N,) indices into GROUPS, by how often a run selected it.

    The sampler has period 1 and is not annealed. Warm-up epochs do not count, nor those in which a bandit first selects
    every sample once, ceil(1 / (1 - prune_rate)). Our choice: *never* is selected in less than 10 % of the other
    epochs, *always* in at least 90 %.

    Example:
        >>> spec = RunSpec(dataset="digits", model="tiny", sampler="ucb", prune_rate=0.5, epochs=12)
        >>> group_of(np.array([1, 5, 11]), spec).tolist()
        [0, 1, 2]
    """
    warm_up = spec.settings.get("warm_up", 0)
    first = warm_up or math.ceil(1 / (1 - spec.prune_rate) - 1e-9)
    if spec.epochs <= first:
        raise SpecError(
            f"{spec.epochs} epochs: at a prune rate of {spec.prune_rate} the first {first} select every sample once"
        )
    share = (selections.astype(float) - max(warm_up, 1)) / (spec.epochs - first)
    return np.digitize(share, [0.1, 0.9])


def selection_counts(spec: RunSpec, num_samples: int) -> np.ndarray:
    """Return in how many epochs a run whose sampler uses no scores selects each sample, (N,) int64, without training
    it."""
    sampler, counts = spec.make_sampler(num_samples), np.zeros(num_samples, np.int64)
    for epoch in range(spec.epochs):
        sampler.set_epoch(epoch)
        counts[sampler.subset().numpy()] += 1
    return counts
