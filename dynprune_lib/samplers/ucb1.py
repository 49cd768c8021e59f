"""UCB1: a sample that was seen less often than others may be worth more than its mean."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit
from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.states import FINITE


@dataclass(eq=False)
class UCB1(Bandit):
    """Sampler that keeps the samples with the highest upper confidence bounds `mean + c * sqrt(ln(t) / n)`, which count
    how often a sample was scored (Auer et al. 2002).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    n is the number of scores of the sample, which needs 4 bytes per sample more than the mean, and t the number of
    epochs so far. The bonus grows while a sample is skipped, so no sample is skipped forever; that of `UCB` stays as it
    was when the sample was last seen.

    Implementation choice: the mean is the moving average of the other bandits, because losses fall in the course of a
    run; UCB1 itself has the mean of all rewards. It also has c = sqrt(2), for rewards in [0, 1]; losses have no such
    bound.

    Args:
        c: weight of the bonus, in [0, 1e38]. Default: 1.

    References:
        Auer, Cesa-Bianchi and Fischer 2002, "Finite-time Analysis of the Multiarmed Bandit Problem", Machine Learning
        47.

    Example:
        >>> sampler = UCB1(3, prune_rate=0.6)
        >>> for samples in ([0, 1, 2], [0, 1], [0, 1]):
        ...     sampler.observe(torch.tensor(samples), torch.tensor([0.9, 0.8, 0.7])[: len(samples)])
        >>> sampler.set_epoch(3)
        >>> list(sampler)  # sample 2 has the lowest mean, but only one score
        [2]
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = Bandit.per_sample_range | {"count": (0, torch.inf)}

    _: KW_ONLY
    c: float = 1.0

    def __post_init__(self) -> None:
        self.c = real("c", self.c, "the weight of the bonus", "[0, 1e38]")
        super().__post_init__()
        self.count: Tensor = torch.zeros(self.num_samples, dtype=torch.int32)

    def per_sample_state(self) -> dict[str, Tensor]:
        return super().per_sample_state() | {"count": self.count}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        # not index_add_: a sample that is in the batch several times counts once, as its highest score does
        self.count.index_copy_(0, index, self.count.index_select(0, index) + usable.int())
        return super().record(index, scores, usable)

    def bound(self) -> Tensor:
        bonus = self.c * (math.log(max(1, self.epoch)) / self.count.clamp(min=1).float()).sqrt()
        # an infinite bonus would equal the infinite mean of samples without a score, which come first
        return self.mean + bonus.clamp(max=FINITE)
