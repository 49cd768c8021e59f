"""epsilon-greedy: mostly the samples with the highest scores, and a few others to learn of them."""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit
from dynprune_lib.samplers.checks import real


@dataclass(eq=False)
class EpsilonGreedy(Bandit):
    """(1 - epsilon) k samples with the highest mean score, epsilon k uniformly from the rest (Raju et al. 2021).

    Where fewer than epsilon k samples are left, all of them are taken and the rest are the highest.

    Args:
        epsilon: the share of the kept samples that is drawn at random, in [0, 1].
    """

    _: KW_ONLY
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        self.epsilon = real("epsilon", self.epsilon, "the share of random samples", "[0, 1]")
        super().__post_init__()

    @property
    def num_explored(self) -> int:
        """How many of the kept samples are drawn at random."""
        return min(round(self.epsilon * self.num_kept), self.num_samples - self.num_kept)

    def select(self) -> Tensor:
        greedy = self.highest(self.mean, self.num_kept - self.num_explored)
        is_rest = torch.ones(self.num_samples, dtype=torch.bool)
        is_rest[greedy] = False
        rest = is_rest.nonzero().squeeze(1)
        generator = self.generator("explore", self.period_number)
        drawn = torch.randperm(len(rest), generator=generator)[: self.num_explored]
        return torch.cat([greedy, rest[drawn]])

    def keep_probability(self) -> Tensor:
        """1 for the samples with the highest scores, the share of the rest that is drawn for the others."""
        num_greedy = self.num_kept - self.num_explored
        if self.num_explored == 0 and self.num_kept < self.num_samples:
            raise ValueError("rescale: with epsilon 0 the samples with lower scores are kept with probability 0")
        probability = torch.ones(self.num_kept)
        probability[num_greedy:] = self.num_explored / (self.num_samples - num_greedy)
        return probability
