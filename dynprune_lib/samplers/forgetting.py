"""Counting how often a sample is forgotten while a model learns (Toneva et al. 2019, arXiv:1812.05159)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.states import FINITE
from dynprune_lib.samplers.uniform import Full


@dataclass(eq=False)
class ForgettingEvents(Full):
    """All the data, like `Full`, and for every sample the number of its forgetting events.

    A sample is forgotten where it was classified right at one presentation and wrong at its next. Its scores are the
    0-1 errors of `dynprune_lib.scores.error`, told to `update`.
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {"events": (0, FINITE)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.events = torch.zeros(self.num_samples)
        self.is_right = torch.zeros(self.num_samples, dtype=torch.bool)  # at the last presentation
        self.was_learned = torch.zeros(self.num_samples, dtype=torch.bool)  # at any

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"events": self.events, "is_right": self.is_right, "was_learned": self.was_learned}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        right = torch.where(usable, scores == 0, self.is_right[index])
        self.events.index_add_(0, index, (self.is_right[index] & ~right).float())
        self.is_right.index_copy_(0, index, right)
        self.was_learned.index_copy_(0, index, self.was_learned[index] | right)

    def forget_scores(self) -> Tensor:
        """(N,) the number of forgetting events; infinite where a sample was never classified right: it is as hard as
        samples get, and kept first. (Several re-implementations give it 0, and prune the hardest samples first.)"""
        return torch.where(self.was_learned, self.events, torch.inf)
