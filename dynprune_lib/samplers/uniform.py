"""The samplers that look at no score: all the data, one random subset, a new random subset every period."""

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler


class Full(PruningSampler):
    """All the data, shuffled every epoch: the baseline. Its prune_rate is 0."""

    def __init__(self, num_samples: int, prune_rate: float = 0.0, *, period: int = 1, seed: int = 0) -> None:
        if prune_rate != 0.0:
            raise ValueError(f"prune_rate is {prune_rate}: full data leaves nothing out, its rate is 0")
        super().__init__(num_samples, prune_rate, period=period, seed=seed)

    def select(self) -> Tensor:
        return torch.arange(self.num_samples, dtype=torch.int32)


class StaticRandom(PruningSampler):
    """One uniform subset, drawn once and kept for the whole training: what every static score has to beat."""

    def select(self) -> Tensor:
        return self.random_subset("static random")


class DynamicRandom(PruningSampler):
    """A new uniform subset every period (Raju et al. 2021, claim C3: it beats static scores at high rates)."""

    def select(self) -> Tensor:
        return self.random_subset("dynamic random", self.period_number)
