"""Epsilon-greedy: mostly the samples with the highest scores, plus random others."""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit
from dynprune_lib.samplers.checks import real


@dataclass(eq=False)
class EpsilonGreedy(Bandit):
    """Sampler that keeps the samples with the highest mean scores, and a fraction `epsilon` of random other samples
    (Raju et al. 2021).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    Of the k = `num_kept` samples, (1 - epsilon) k have the highest means and epsilon k are drawn uniformly from the
    rest. If the rest has fewer than epsilon k samples, it is kept entirely and more of the highest are added.

    Args:
        epsilon: fraction of the kept samples that is drawn at random, in [0, 1]. Default: 0.1.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> sampler = EpsilonGreedy(10, prune_rate=0.6, epsilon=0.5)
        >>> sampler.observe(torch.arange(10), torch.arange(10.0))
        >>> sampler.set_epoch(1)
        >>> kept = set(sampler)  # the two highest, and two of the others
        >>> len(kept), kept >= {8, 9}
        (4, True)
    """

    _: KW_ONLY
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        self.epsilon = real("epsilon", self.epsilon, "the fraction of random samples", "[0, 1]")
        super().__post_init__()

    @property
    def num_explored(self) -> int:
        """Number of the kept samples that are drawn at random."""
        return min(round(self.epsilon * self.num_kept), self.num_samples - self.num_kept)

    def select(self) -> Tensor:
        greedy = self.topk(self.bound(), self.num_kept - self.num_explored)
        is_rest = torch.ones(self.num_samples, dtype=torch.bool)
        is_rest[greedy] = False
        rest = is_rest.nonzero().squeeze(1)
        generator = self.random_generator("explore", self.period_number)
        drawn = torch.randperm(len(rest), generator=generator)[: self.num_explored]
        return torch.cat([greedy, rest[drawn]])

    def keep_probability(self) -> Tensor:
        """Return 1 for the samples with the highest means, and the drawn fraction of the rest for the others."""
        num_greedy = self.num_kept - self.num_explored
        if self.num_explored == 0 and self.num_kept < self.num_samples:
            raise ValueError("rescale is True: with epsilon 0, samples with lower scores are kept with probability 0")
        probability = torch.ones(self.num_kept, dtype=torch.float32)
        probability[num_greedy:] = self.num_explored / max(1, self.num_samples - num_greedy)  # at rate 0, none is left
        return probability
