"""UCB with a random share: mostly the samples with the highest confidence bounds, plus random others."""

from dataclasses import dataclass

from dynprune_lib.samplers.epsilon_greedy import EpsilonGreedy
from dynprune_lib.samplers.ucb import UCB


@dataclass(eq=False)
class EpsilonUCB(EpsilonGreedy, UCB):
    """Sampler that keeps the samples with the highest upper confidence bounds, and a fraction `epsilon` of random other
    samples.

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    The bounds are those of `UCB`, the draw of the others is that of `EpsilonGreedy`. A public re-implementation of both
    methods selects in this way.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621, for both parts.

    Example:
        >>> import torch
        >>> sampler = EpsilonUCB(10, prune_rate=0.6, epsilon=0.5)
        >>> sampler.observe(torch.arange(10), torch.arange(10.0))
        >>> sampler.observe(torch.tensor([0]), torch.tensor([8.0]))  # its bound is 4 + 32: its loss has changed
        >>> sampler.set_epoch(1)
        >>> kept = set(sampler)  # the two highest bounds, and two of the others
        >>> len(kept), kept >= {0, 9}
        (4, True)
    """
