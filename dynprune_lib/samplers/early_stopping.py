"""Instance-dependent early stopping: a sample is skipped while its loss changes linearly or not at all."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.own_length import OwnLength


@dataclass(eq=False)
class InstanceEarlyStopping(OwnLength, LastScore):
    """Fixed-length variant of instance-dependent early stopping (Yuan et al. 2025): it skips the samples whose loss has
    a second difference below `threshold`, as already mastered.

    The second difference of the last three losses is `|L(t) - 2 L(t-1) + L(t-2)|`. It needs 4 bytes per sample more
    than the last loss.

    Implementation choices: every epoch has `num_kept` samples, where the authors train on all samples that are not yet
    mastered, which are nearly all at first. The second difference is the last one, which needs three losses; the
    authors' code averages the last three, and needs six losses before it skips a sample. It also computes the losses of
    skipped samples in every epoch, and keeps a sample again when its loss changes; here, the training loop may do so by
    calling `observe` (`--rescore` on the command line). Without re-scoring, the losses are those of the last three
    times that a sample was trained on.

    Args:
        threshold: smallest second difference of a sample that is kept, in (0, 1e38]. Default: 0.001, as in the paper on
            CIFAR-10; it uses 0.002 on CIFAR-100.

    References:
        Yuan et al., ICLR 2025, "Instance-dependent Early Stopping", arXiv:2502.07547, and the code of the authors.

    Example:
        >>> sampler = InstanceEarlyStopping(3, prune_rate=0.6, threshold=0.1)
        >>> for losses in ([0.9, 0.2, 0.9], [0.8, 0.2, 0.6], [0.7, 0.2, 0.5]):
        ...     sampler.observe(torch.arange(3), torch.tensor(losses))
        >>> sampler.set_epoch(1)
        >>> list(sampler)  # sample 0 improves steadily, sample 1 is constant
        [2]
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = LastScore.per_sample_range | {"second": (0, torch.inf)}

    _: KW_ONLY
    threshold: float = 0.001

    def __post_init__(self) -> None:
        self.threshold = real("threshold", self.threshold, "the smallest second difference that is kept", "(0, 1e38]")
        super().__post_init__()
        # Both stay infinite until a sample has enough losses, without a counter: the first difference is finite minus
        # infinite, the second one needs two finite differences.
        self.difference: Tensor = torch.full((self.num_samples,), torch.inf, dtype=torch.float16)
        self.second: Tensor = self.difference.clone()

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"last": self.last, "difference": self.difference, "second": self.second}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        before = self.difference.index_select(0, index)
        difference = scores - self.last.index_select(0, index)
        second = (difference - before).abs()
        super().record(index, scores, usable)
        self.difference.index_copy_(0, index, torch.where(usable, difference.half(), before))
        second_before = self.second.index_select(0, index)
        self.second.index_copy_(0, index, torch.where(usable, second.half(), second_before))

    def select(self) -> Tensor:
        return self.take(self.second.float() >= self.threshold)
