"""Forgetting events: how often a model unlearns a sample in the course of a run."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.states import FINITE
from dynprune_lib.samplers.uniform import Full


@dataclass(eq=False)
class ForgettingEvents(Full):
    """Sampler that keeps all samples, like `Full`, and counts the forgetting events of each.

    A forgetting event is a sample that was classified correctly when it was last seen and is misclassified now. Pass
    the 0-1 errors of `dynprune_lib.scores.error` to `update` as scores.

    References:
        Toneva et al., ICLR 2019, "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
        arXiv:1812.05159.

    Example:
        >>> sampler = ForgettingEvents(3)
        >>> for errors in ([0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0]):
        ...     sampler.observe(torch.arange(3), torch.tensor(errors))
        >>> sampler.forget_scores()  # forgotten twice, never forgotten, never learned
        tensor([2., 0., inf])
    """

    required_score: ClassVar[str | None] = "error"
    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {"events": (0, FINITE)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.events: Tensor = torch.zeros(self.num_samples, dtype=torch.float32)
        self.is_right: Tensor = torch.zeros(self.num_samples, dtype=torch.bool)  # when last seen
        self.was_learned: Tensor = torch.zeros(self.num_samples, dtype=torch.bool)  # classified correctly at least once

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"events": self.events, "is_right": self.is_right, "was_learned": self.was_learned}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        right = torch.where(usable, scores == 0, self.is_right[index])
        # not index_add_: a sample that is in the batch several times is forgotten once
        self.events.index_copy_(0, index, self.events[index] + (self.is_right[index] & ~right))
        self.is_right.index_copy_(0, index, right)
        self.was_learned.index_copy_(0, index, self.was_learned[index] | right)

    def forget_scores(self) -> Tensor:
        """Return the number of forgetting events, (N,) float32; infinite for samples never classified correctly.

        They are the hardest samples, and `Forget` keeps the highest scores. Several re-implementations use 0 for them,
        which prunes the hardest samples first.
        """
        return torch.where(self.was_learned, self.events, torch.inf)
