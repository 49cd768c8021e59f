"""What epsilon-greedy and UCB share: a smoothed score for every sample, and the selection of the highest."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.selection import topk_random_ties
from dynprune_lib.samplers.states import FINITE


@dataclass(eq=False)
class Bandit(PruningSampler):
    """The sample is an arm, its score the reward, observed when the sample is trained on (Raju et al. 2021).

    Every sample has an exponential moving average of its scores s, 4 bytes:

        mean <- (1 - alpha) mean + alpha s

    Our choice, where the source at hand is silent: the first score of a sample starts its average (mean = s), and a
    sample that has no score yet counts as infinitely good, so every sample is tried before one is left out for
    good; ties are broken at random.

    Args:
        alpha: rate of the moving averages, in (0, 1]; 1 remembers the last score only.
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {"mean": (-FINITE, torch.inf)}

    _: KW_ONLY
    alpha: float = 0.5

    def __post_init__(self) -> None:
        self.alpha = real("alpha", self.alpha, "the rate of the moving averages", "(0, 1]")
        super().__post_init__()
        self.mean = torch.full((self.num_samples,), torch.inf)  # infinite: no score yet

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"mean": self.mean}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        """Returns by how much the scores were above their means, (B,): 0 for a first score."""
        mean = self.mean.index_select(0, index)
        above = scores - torch.where(mean == torch.inf, scores, mean)
        new_mean = torch.add(scores, above, alpha=self.alpha - 1)
        self.mean.index_copy_(0, index, torch.where(usable, new_mean, mean))
        return above

    def highest(self, scores: Tensor, k: int) -> Tensor:
        """The k indices with the highest scores (N,), ties broken at random: (k,) int64 on the CPU."""
        return topk_random_ties(scores, k, self.generator("ties", self.period_number))
