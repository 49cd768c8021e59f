"""Samplers that use no scores: all samples, one random subset, or new random subsets."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import setting
from dynprune_lib.samplers.sampler import PruningSampler
from dynprune_lib.samplers.selection import marks


@dataclass(eq=False)
class Full(PruningSampler):
    """Sampler that keeps all samples and shuffles them every epoch: training without pruning.

    Its `prune_rate` is 0.

    Example:
        >>> sampler = Full(5)
        >>> sorted(sampler)
        [0, 1, 2, 3, 4]
    """

    name: ClassVar[str] = "full"
    prune_rate: float = setting(0.0, "[0, 1)", kw_only=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prune_rate != 0.0:
            raise ValueError(f"prune_rate is {self.prune_rate}: Full keeps all samples, so it must be 0")

    def select(self) -> Tensor:
        return torch.arange(self.num_samples, dtype=torch.int32, device="cpu")

    def keep_probability(self) -> Tensor:
        return torch.ones(self.num_kept, dtype=torch.float32, device="cpu")


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

    name: ClassVar[str] = "static-random"

    def select(self) -> Tensor:
        return self.random_subset("static random")


@dataclass(eq=False)
class DynamicRandom(PruningSampler):
    """Sampler that draws a new uniform random subset every period (Raju et al. 2021).

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> sampler = DynamicRandom(100, prune_rate=0.7)
        >>> first = set(sampler)
        >>> sampler.set_epoch(1)
        >>> len(first), first == set(sampler)
        (30, False)
    """

    name: ClassVar[str] = "dynamic-random"

    def select(self) -> Tensor:
        return self.random_subset("dynamic random", self.period_number)

    def keep_probability(self) -> Tensor:
        return torch.full((self.num_kept,), self.num_kept / self.num_samples, dtype=torch.float32, device="cpu")


@dataclass(eq=False)
class RS2(PruningSampler):
    """Sampler that cuts shuffled passes over the data into epochs: every sample is used before any is repeated
    (Okanovic et al. 2024).

    Implementation choice: if a pass ends within an epoch, the first samples of the next pass, in another random order,
    complete it. The samples that the epoch already has come last in the next pass.

    References:
        Okanovic et al., ICLR 2024, "Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning",
        arXiv:2305.18424.

    Example:
        >>> sampler = RS2(9, prune_rate=2 / 3)
        >>> used = []
        >>> for epoch in range(3):
        ...     sampler.set_epoch(epoch)
        ...     used += list(sampler)
        >>> sorted(used)
        [0, 1, 2, 3, 4, 5, 6, 7, 8]
    """

    name: ClassVar[str] = "rs2"

    def __post_init__(self) -> None:
        super().__post_init__()
        # the last pass that was computed: the order of a pass depends on the one before
        self._pass_number: int = -1
        self._pass_order: Tensor = torch.arange(self.num_samples, dtype=torch.int32, device="cpu")

    def select(self) -> Tensor:
        number, begin = divmod(self.period_number * self.num_kept, self.num_samples)
        kept = self._order_of_pass(number)[begin : begin + self.num_kept].clone()
        missing = self.num_kept - len(kept)
        return torch.cat([kept, self._order_of_pass(number + 1)[:missing]]) if missing else kept

    def keep_probability(self) -> Tensor:
        return torch.full((self.num_kept,), self.num_kept / self.num_samples, dtype=torch.float32, device="cpu")

    def _order_of_pass(self, number: int) -> Tensor:
        """Return the order of a pass, (N,) int32, computed from the order of the pass before it."""
        if number < self._pass_number:
            self._pass_number = -1  # compute again from the first pass
        while self._pass_number < number:
            self._pass_number += 1
            order = self.random_order(self.num_samples, "pass", self._pass_number)
            # the end of the previous pass shares an epoch with the start of this one: its samples must come late here
            num_shared = self._pass_number * self.num_samples % self.num_kept
            late = marks(self.num_samples, self._pass_order[self.num_samples - num_shared :])[order.long()]
            self._pass_order = torch.cat([order[~late], order[late]])
        return self._pass_order
