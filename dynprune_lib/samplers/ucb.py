"""UCB, the upper confidence bound: a sample whose score moves may be worth more than its mean says."""

from typing import Any

from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit


class UCB(Bandit):
    """The k samples with the highest `mean + c * var` (Raju et al. 2021, in the form of its independent
    re-implementations; the textbook form has the root of the variance).

    Args:
        c: the weight of the variance, at least 0.
    """

    def __init__(
        self,
        num_samples: int,
        prune_rate: float = 0.5,
        *,
        c: float = 1.0,
        alpha: float = 0.5,
        period: int = 1,
        seed: int = 0,
    ) -> None:
        if not c >= 0.0:
            raise ValueError(f"c is {c}: the weight of the variance must be at least 0")
        super().__init__(num_samples, prune_rate, alpha=alpha, period=period, seed=seed)
        self.c = c

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"c": self.c}

    def select(self) -> Tensor:
        return self.highest(self.mean + self.c * self.var, self.num_kept)
