"""Instance-dependent early stopping: a sample is left out once its loss moves evenly or not at all."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore


@dataclass(eq=False)
class InstanceEarlyStopping(LastScore):
    """A sample is mastered, and left out, when the second difference of its loss, L(t) - 2 L(t-1) + L(t-2), is within
    `threshold` of zero (Yuan et al., ICLR 2025, arXiv:2502.07547). Which samples are mastered is decided for all at
    once, on the device; 4 bytes more a sample.

    The source computes the losses of the mastered samples anew every epoch, which is `observe` here (`--rescore`), and
    takes any of them back that moves. Without that, differences are those of the times when a sample was trained on.

    Args:
        threshold: above 0; 0.001 in the source on CIFAR-10, 0.002 on CIFAR-100.
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = LastScore.per_sample_range | {"second": (0, torch.inf)}

    _: KW_ONLY
    threshold: float = 0.001

    def __post_init__(self) -> None:
        self.threshold = real("threshold", self.threshold, "the largest second difference", "(0, 1e38]")
        super().__post_init__()
        # infinite as long as there are too few losses: inf - finite stays so, and the last of three is finite
        self.difference = torch.full((self.num_samples,), torch.inf, dtype=torch.float16)
        self.second = self.difference.clone()

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"last": self.last, "difference": self.difference, "second": self.second}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        before = self.difference.index_select(0, index)
        difference = scores - self.last.index_select(0, index)
        second = (difference - before).abs()
        super().record(index, scores, usable)
        self.difference.index_copy_(0, index, torch.where(usable, difference.half(), before))
        kept = self.second.index_select(0, index)
        self.second.index_copy_(0, index, torch.where(usable, second.half(), kept))

    def select(self) -> Tensor:
        return self.fill_epoch(self.second.float() >= self.threshold)
