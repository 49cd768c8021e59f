"""Proportional sampling: a random subset in which a sample is the more likely, the higher its mean loss."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit


@dataclass(eq=False)
class Proportional(Bandit):
    """Sampler that draws samples one after the other, without replacement, each in proportion to its mean score.

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    Hard samples are kept more often, but every sample with a score above 0 can be kept in every epoch, unlike with a
    ranking of the same means. This is importance sampling (Katharopoulos and Fleuret 2018) of whole epochs, by the
    losses that training computes anyway and without its weights.

    Implementation choice: the draw uses random keys (Efraimidis and Spirakis 2006), which need one pass over the means.

    References:
        Katharopoulos and Fleuret, ICML 2018, "Not All Samples Are Created Equal: Deep Learning with Importance
        Sampling", arXiv:1803.00942.
        Efraimidis and Spirakis 2006, "Weighted Random Sampling with a Reservoir", Information Processing Letters 97(5).

    Example:
        >>> sampler = Proportional(4, prune_rate=0.75)
        >>> sampler.observe(torch.arange(4), torch.tensor([0.0, 1.0, 2.0, 5.0]))
        >>> drawn = []
        >>> for epoch in range(1, 1001):
        ...     sampler.set_epoch(epoch)
        ...     drawn += sampler.indices().tolist()
        >>> [drawn.count(sample) for sample in range(4)]  # in the mean 0, 125, 250 and 625
        [0, 130, 252, 618]
    """

    def select(self) -> Tensor:
        generator = self.random_generator("draw", self.period_number)
        uniform = torch.rand(self.num_samples, generator=generator, dtype=torch.float32)
        keys = self.mean.cpu().clamp(min=0).log() - (-uniform.log()).log()  # the highest are the first to be drawn
        return self.topk(keys, self.num_kept)
