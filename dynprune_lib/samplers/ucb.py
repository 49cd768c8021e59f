"""UCB, the upper confidence bound: a sample whose score moves may be worth more than its mean says."""

from dataclasses import KW_ONLY, dataclass

from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit


@dataclass(eq=False)
class UCB(Bandit):
    """The k samples with the highest `mean + c * var` (Raju et al. 2021, in the form of its independent
    re-implementations).

    Args:
        c: the weight of the variance, at least 0.
        root: the textbook form, `mean + c * sqrt(var)`, whose two terms are in one unit.
    """

    _: KW_ONLY
    c: float = 1.0
    root: bool = False

    def __post_init__(self) -> None:
        if not self.c >= 0.0:
            raise ValueError(f"c is {self.c}: the weight of the variance must be at least 0")
        super().__post_init__()

    def select(self) -> Tensor:
        return self.highest(self.mean + self.c * (self.var.sqrt() if self.root else self.var), self.num_kept)
