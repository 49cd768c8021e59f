"""Samplers that keep all samples and follow them, for scores by which a later run is pruned."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.baselines import Full
from dynprune_lib.samplers.states import FINITE, Memory


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
    remembers: ClassVar[dict[str, Memory]] = {
        "events": Memory(0.0, low=0, high=FINITE),
        "is_right": Memory(False, torch.bool),  # when last seen
        "was_learned": Memory(False, torch.bool),  # classified correctly at least once
    }

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        before = {name: tensor[index] for name, tensor in self.memory.items()}
        right = torch.where(usable, scores == 0, before["is_right"])
        # not index_add_: a sample that is in the batch several times is forgotten once
        self.memory["events"].index_copy_(0, index, before["events"] + (before["is_right"] & ~right))
        self.memory["is_right"].index_copy_(0, index, right)
        self.memory["was_learned"].index_copy_(0, index, before["was_learned"] | right)

    def forget_scores(self) -> Tensor:
        """Return the number of forgetting events, (N,) float32; infinite for samples never classified correctly.

        They are the hardest samples, and `Forget` keeps the highest scores. Several re-implementations use 0 for them,
        which prunes the hardest samples first.
        """
        return torch.where(self.memory["was_learned"], self.memory["events"], torch.inf)


@dataclass(eq=False)
class EarlyLosses(Full):
    """Sampler that keeps all samples, like `Full`, and follows the losses of each: the last one and their variance.

    Example:
        >>> sampler = EarlyLosses(2)
        >>> for losses in ([2.0, 2.0], [2.0, 1.0], [2.0, 0.0]):
        ...     sampler.observe(torch.arange(2), torch.tensor(losses))
        >>> sampler.memory["last"], sampler.variances()
        (tensor([2., 0.]), tensor([0., 1.]))
    """

    remembers: ClassVar[dict[str, Memory]] = {
        "seen": Memory(0.0, low=0, high=FINITE),  # number of losses
        "last": Memory(0.0, low=-FINITE, high=FINITE),
        "mean": Memory(0.0, low=-FINITE, high=FINITE),
        "squares": Memory(0.0, low=0, high=FINITE),  # sums of squared differences from the mean
    }

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        """Follow Welford's method, which is exact where the sum of squares is not."""
        before = {name: tensor[index] for name, tensor in self.memory.items()}
        seen = before["seen"] + usable
        difference = torch.where(usable, scores - before["mean"], 0)
        mean = before["mean"] + difference / seen.clamp(min=1)
        added = torch.where(usable, difference * (scores - mean), 0)
        self.memory["seen"].index_copy_(0, index, seen)
        self.memory["last"].index_copy_(0, index, torch.where(usable, scores, before["last"]))
        self.memory["mean"].index_copy_(0, index, mean)
        self.memory["squares"].index_copy_(0, index, (before["squares"] + added).clamp(0, FINITE))

    def variances(self) -> Tensor:
        """Return the variance of the losses of each sample, (N,) float32; 0 with fewer than two losses."""
        return self.memory["squares"] / (self.memory["seen"] - 1).clamp(min=1)
