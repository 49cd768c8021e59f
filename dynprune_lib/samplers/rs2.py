"""RS2, repeated sampling of random subsets: a shuffled pass over the data, cut into epochs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler


@dataclass(eq=False)
class RS2(PruningSampler):
    """Sampler that cuts shuffled passes over the data into epochs, so that every sample is used before any is repeated
    (Okanovic et al. 2024).

    Every pass has a new random order (random subsets without replacement).

    Implementation choice: if a pass ends within an epoch, the first samples of the next pass complete the epoch. The
    samples that the epoch already has come last in the next pass.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        # the last pass that was computed: the order of a pass depends on the one before
        self._pass_number: int = -1
        self._pass_order: Tensor = torch.arange(self.num_samples, dtype=torch.int32)

    def select(self) -> Tensor:
        number, begin = divmod(self.period_number * self.num_kept, self.num_samples)
        kept = self._order_of_pass(number)[begin : begin + self.num_kept].clone()
        missing = self.num_kept - len(kept)
        return torch.cat([kept, self._order_of_pass(number + 1)[:missing]]) if missing else kept

    def keep_probability(self) -> Tensor:
        return torch.full((self.num_kept,), self.num_kept / self.num_samples, dtype=torch.float32)

    def _order_of_pass(self, number: int) -> Tensor:
        """Return the order of a pass, (N,) int32, computed from the order of the pass before it."""
        if number < self._pass_number:
            self._pass_number = -1  # compute again from the first pass
        while self._pass_number < number:
            self._pass_number += 1
            generator = self.random_generator("pass", self._pass_number)
            order = torch.randperm(self.num_samples, generator=generator, dtype=torch.int32)
            # the end of the previous pass shares an epoch with the start of this one: its samples must come late here
            num_shared = self._pass_number * self.num_samples % self.num_kept
            is_shared = torch.zeros(self.num_samples, dtype=torch.bool)
            is_shared[self._pass_order[self.num_samples - num_shared :].long()] = True
            late = is_shared[order.long()]
            self._pass_order = torch.cat([order[~late], order[late]])
        return self._pass_order
