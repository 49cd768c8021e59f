"""UCB, the upper confidence bound: a sample whose scores vary may be worth more than their mean."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit
from dynprune_lib.samplers.checks import boolean, real
from dynprune_lib.samplers.states import FINITE


@dataclass(eq=False)
class UCB(Bandit):
    """Sampler that keeps the samples with the highest upper confidence bounds `mean + c * var` of their scores
    (Raju et al. 2021).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    The exponential moving average of the squared deviations from the mean needs 4 bytes per sample more than the mean::

        var <- (1 - alpha) var + alpha (s - mean_before)^2

    The bound has the form that independent re-implementations of the paper use. Implementation choice: `var` is 0
    after the first score.

    Args:
        c: weight of the variance, in [0, 1e38]. Default: 1.
        std_bonus: whether to use `mean + c * sqrt(var)`, the standard deviation in place of the variance, so that both
            terms have the unit of the scores. Default: False.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> sampler, greedy = UCB(4, prune_rate=0.5), UCB(4, prune_rate=0.5, c=0.0)
        >>> for each in (sampler, greedy):
        ...     each.observe(torch.arange(4), torch.tensor([0.9, 0.5, 0.1, 0.0]))
        ...     each.observe(torch.arange(4), torch.tensor([0.9, 0.5, 0.1, 0.8]))
        ...     each.set_epoch(1)
        >>> greedy.subset().tolist()  # by the means 0.9, 0.5, 0.1 and 0.4
        [0, 1]
        >>> sampler.subset().tolist()  # sample 3 has 0.4 + 0.32, because its loss changed
        [0, 3]
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = Bandit.per_sample_range | {"var": (0, FINITE)}

    former_names: ClassVar[dict[str, str]] = {"root": "std_bonus"}

    _: KW_ONLY
    c: float = 1.0
    std_bonus: bool = False

    def __post_init__(self) -> None:
        self.c = real("c", self.c, "the weight of the variance", "[0, 1e38]")
        boolean("std_bonus", self.std_bonus)
        super().__post_init__()
        self.var: Tensor = torch.zeros(self.num_samples, dtype=torch.float32)

    def per_sample_state(self) -> dict[str, Tensor]:
        return super().per_sample_state() | {"var": self.var}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        deviation = super().record(index, scores, usable)
        var = self.var.index_select(0, index)
        self.var.index_copy_(0, index, torch.where(usable, var.lerp(deviation * deviation, self.alpha), var))
        return deviation

    def bound(self) -> Tensor:
        spread = self.c * (self.var.sqrt() if self.std_bonus else self.var)
        # an infinite spread would equal the infinite mean of samples without a score, which come first
        return self.mean + spread.clamp(max=FINITE)
