"""The samplers that look at no score: all the data, one random subset, a new random subset every period."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler


@dataclass(eq=False)
class Full(PruningSampler):
    """All the data, shuffled every epoch: the baseline. Its prune_rate is 0."""

    prune_rate: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prune_rate != 0.0:
            raise ValueError(f"prune_rate is {self.prune_rate}: full data leaves nothing out, its rate is 0")

    def select(self) -> Tensor:
        return torch.arange(self.num_samples, dtype=torch.int32)

    def keep_probability(self) -> Tensor:
        return torch.ones(self.num_kept)


@dataclass(eq=False)
class StaticRandom(PruningSampler):
    """One uniform subset, drawn once and kept for the whole training: what every static score has to beat."""

    def select(self) -> Tensor:
        return self.random_subset("static random")


@dataclass(eq=False)
class DynamicRandom(PruningSampler):
    """A new uniform subset every period (Raju et al. 2021, claim C3: it beats static scores at high rates)."""

    def select(self) -> Tensor:
        return self.random_subset("dynamic random", self.period_number)

    def keep_probability(self) -> Tensor:
        return torch.full((self.num_kept,), self.num_kept / self.num_samples)
