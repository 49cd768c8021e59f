"""Base class of the bandits: a moving average of every sample's scores, and the selection of the highest."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.checks import boolean, real
from dynprune_lib.samplers.selection import topk_random_ties
from dynprune_lib.samplers.states import FINITE


@dataclass(eq=False)
class Bandit(PruningSampler):
    """Base class of samplers that treat every sample as an arm of a bandit and its scores as rewards.

    A reward is observed when the sample is trained on or re-scored. The exponential moving average of the scores s
    needs 4 bytes per sample::

        mean <- (1 - alpha) mean + alpha s

    Implementation choice: the first score of a sample starts its average (mean = s), a sample without a score has an
    infinite mean, so that all samples are tried before one is skipped twice, and ties are broken at random.

    Args:
        alpha: update rate of the moving averages, in (0, 1]; 1 keeps only the last score. Default: 0.5.
        from_zero: whether averages start from 0 (mean = alpha s after the first score), as in a public
            re-implementation. Default: False.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> sampler = Bandit(3, prune_rate=0.5, alpha=0.5)
        >>> for score in (2.0, 4.0, 1.0):
        ...     sampler.observe(torch.tensor([1]), torch.tensor([score]))
        >>> sampler.mean
        tensor([inf, 2., inf])
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {"mean": (-FINITE, torch.inf)}

    _: KW_ONLY
    alpha: float = 0.5
    from_zero: bool = False

    def __post_init__(self) -> None:
        self.alpha = real("alpha", self.alpha, "the update rate of the moving averages", "(0, 1]")
        boolean("from_zero", self.from_zero)
        super().__post_init__()
        self.mean: Tensor = torch.full((self.num_samples,), torch.inf, dtype=torch.float32)  # infinite: no score yet

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"mean": self.mean}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        """Update the means and return how far the scores were above them before, (B,) float32. First scores are above
        the 0 that averages start from, or above nothing, by 0."""
        mean = self.mean.index_select(0, index)
        start = torch.zeros_like(scores) if self.from_zero else scores
        deviation = scores - torch.where(mean == torch.inf, start, mean)
        # s - (1 - alpha) (s - mean): unlike mean + alpha (s - mean), this stays s when the mean is infinite
        new_mean = torch.add(scores, deviation, alpha=self.alpha - 1)
        self.mean.index_copy_(0, index, torch.where(usable, new_mean, mean))
        return deviation

    def select(self) -> Tensor:
        return self.topk(self.bound(), self.num_kept)

    def bound(self) -> Tensor:
        """Return what the samples are ranked by, (N,) float32: the means, to which a subclass may add a bonus."""
        return self.mean

    def topk(self, scores: Tensor, k: int) -> Tensor:
        """Return the indices of the k highest scores (N,), with ties broken at random: (k,) int64 on the CPU."""
        return topk_random_ties(scores, k, self.random_generator("ties", self.period_number))
