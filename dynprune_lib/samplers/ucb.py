"""UCB, the upper confidence bound: a sample whose score moves may be worth more than its mean says."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit
from dynprune_lib.samplers.checks import boolean, real
from dynprune_lib.samplers.states import FINITE


@dataclass(eq=False)
class UCB(Bandit):
    """The k samples with the highest `mean + c * var` (Raju et al. 2021, in the form of its independent
    re-implementations).

    Beside the mean every sample has an exponential moving average of its squared deviations, 4 bytes more, which
    begins at 0 with the first score (our choice):

        var <- (1 - alpha) var + alpha (s - mean_before)^2

    Args:
        c: the weight of the variance, at least 0.
        root: the textbook form, `mean + c * sqrt(var)`, whose two terms are in one unit.
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = Bandit.per_sample_range | {"var": (0, FINITE)}

    _: KW_ONLY
    c: float = 1.0
    root: bool = False

    def __post_init__(self) -> None:
        self.c = real("c", self.c, "the weight of the variance", "[0, 1e38]")
        boolean("root", self.root)
        super().__post_init__()
        self.var = torch.zeros(self.num_samples)

    def per_sample_state(self) -> dict[str, Tensor]:
        return super().per_sample_state() | {"var": self.var}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        above = super().record(index, scores, usable)
        var = self.var.index_select(0, index)
        self.var.index_copy_(0, index, torch.where(usable, var.lerp(above * above, self.alpha), var))
        return above

    def select(self) -> Tensor:
        spread = self.c * (self.var.sqrt() if self.root else self.var)
        return self.highest(self.mean + spread.clamp(max=FINITE), self.num_kept)
