"""epsilon-greedy: mostly the samples with the highest scores, and a few others to learn of them."""

from typing import Any

import torch
from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit


class EpsilonGreedy(Bandit):
    """(1 - epsilon) k samples with the highest mean score, epsilon k uniformly from the rest (Raju et al. 2021).

    Where fewer than epsilon k samples are left, all of them are taken and the rest are the highest.

    Args:
        epsilon: the share of the kept samples that is drawn at random, in [0, 1].
    """

    def __init__(
        self,
        num_samples: int,
        prune_rate: float = 0.5,
        *,
        epsilon: float = 0.1,
        alpha: float = 0.5,
        period: int = 1,
        seed: int = 0,
    ) -> None:
        if not 0.0 <= epsilon <= 1.0:
            raise ValueError(f"epsilon is {epsilon}: the share of random samples must be between 0 and 1")
        super().__init__(num_samples, prune_rate, alpha=alpha, period=period, seed=seed)
        self.epsilon = epsilon

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"epsilon": self.epsilon}

    def select(self) -> Tensor:
        explored = min(round(self.epsilon * self.num_kept), self.num_samples - self.num_kept)
        greedy = self.highest(self.mean, self.num_kept - explored)
        is_rest = torch.ones(self.num_samples, dtype=torch.bool)
        is_rest[greedy] = False
        rest = is_rest.nonzero().squeeze(1)
        generator = self.generator("explore", self.period_number)
        drawn = torch.randperm(len(rest), generator=generator)[:explored]
        return torch.cat([greedy, rest[drawn]])
