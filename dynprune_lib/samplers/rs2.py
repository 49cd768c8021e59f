"""RS2, repeated sampling of random subsets: a shuffled pass over the data, cut into epochs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler


@dataclass(eq=False)
class RS2(PruningSampler):
    """Random subsets without replacement (Okanovic et al., ICLR 2024, arXiv:2305.18424): every sample comes before any
    comes again, and a new order is drawn for every pass over the data.

    Our choice where the epochs do not fill a pass: the epoch in which a pass ends takes the first samples of the next
    one too, so none is left out; those that it has already come later in that pass.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number, self._order = -1, torch.arange(self.num_samples, dtype=torch.int32)  # of the pass at hand

    def select(self) -> Tensor:
        number, begin = divmod(self.period_number * self.num_kept, self.num_samples)
        kept = self._pass(number)[begin : begin + self.num_kept].clone()
        missing = self.num_kept - len(kept)
        return torch.cat([kept, self._pass(number + 1)[:missing]]) if missing else kept

    def keep_probability(self) -> Tensor:
        return torch.full((self.num_kept,), self.num_kept / self.num_samples)

    def _pass(self, number: int) -> Tensor:
        """The order of a pass, (N,) int32, made from that of the pass before it."""
        if number < self._number:
            self._number = -1
        while self._number < number:
            self._number += 1
            order = torch.randperm(self.num_samples, generator=self.generator("pass", self._number), dtype=torch.int32)
            is_last = torch.zeros(self.num_samples, dtype=torch.bool)  # in the epoch that the pass before ends in
            shared = self._number * self.num_samples % self.num_kept
            is_last[self._order[self.num_samples - shared :].long()] = True
            late = is_last[order.long()]
            self._order = torch.cat([order[~late], order[late]])
        return self._order
