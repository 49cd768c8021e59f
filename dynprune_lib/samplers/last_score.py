"""Base class of the samplers that use the last score of every sample."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.selection import topk_random_ties
from dynprune_lib.samplers.states import FINITE


@dataclass(eq=False)
class LastScore(PruningSampler):
    """Base class of samplers that remember the last score of every sample, 4 bytes; infinite if there is none.

    Samples without a score are always preferred.

    Example:
        >>> sampler = LastScore(4, prune_rate=0.5)
        >>> sampler.observe(torch.tensor([0, 2]), torch.tensor([0.3, 0.7]))
        >>> sampler.last
        tensor([0.3000,    inf, 0.7000,    inf])
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {"last": (-FINITE, torch.inf)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.last: Tensor = torch.full((self.num_samples,), torch.inf, dtype=torch.float32)

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"last": self.last}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        self.last.index_copy_(0, index, torch.where(usable, scores, self.last.index_select(0, index)))

    def highest(self) -> Tensor:
        """Return the `num_kept` samples with the highest last scores, with ties broken at random: (num_kept,) int64."""
        return topk_random_ties(self.last, self.num_kept, self.random_generator("ties", self.period_number))
