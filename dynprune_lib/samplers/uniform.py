"""Samplers that use no scores: all samples, one random subset, or a new random subset every period."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler


@dataclass(eq=False)
class Full(PruningSampler):
    """Sampler that keeps all samples and shuffles them every epoch: training without pruning.

    Its `prune_rate` is 0.

    Example:
        >>> sampler = Full(5)
        >>> sorted(sampler)
        [0, 1, 2, 3, 4]
    """

    prune_rate: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prune_rate != 0.0:
            raise ValueError(f"prune_rate is {self.prune_rate}: Full keeps all samples, so it must be 0")

    def select(self) -> Tensor:
        return torch.arange(self.num_samples, dtype=torch.int32)

    def keep_probability(self) -> Tensor:
        return torch.ones(self.num_kept, dtype=torch.float32)


@dataclass(eq=False)
class StaticRandom(PruningSampler):
    """Sampler that draws one uniform random subset and keeps it for the whole run: the baseline of static pruning.

    Example:
        >>> sampler = StaticRandom(100, prune_rate=0.7)
        >>> first = set(sampler)
        >>> sampler.set_epoch(1)
        >>> len(first), first == set(sampler)
        (30, True)
    """

    def select(self) -> Tensor:
        return self.random_subset("static random")


@dataclass(eq=False)
class DynamicRandom(PruningSampler):
    """Sampler that draws a new uniform random subset every period (Raju et al. 2021).

    Claim C3 of the paper: it outperforms static scores at high prune rates.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> sampler = DynamicRandom(100, prune_rate=0.7)
        >>> first = set(sampler)
        >>> sampler.set_epoch(1)
        >>> len(first), first == set(sampler)
        (30, False)
    """

    def select(self) -> Tensor:
        return self.random_subset("dynamic random", self.period_number)

    def keep_probability(self) -> Tensor:
        return torch.full((self.num_kept,), self.num_kept / self.num_samples, dtype=torch.float32)
