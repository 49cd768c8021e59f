"""Base class of the rules that decide for every sample by itself, so that the length of an epoch follows from them."""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.checks import boolean


@dataclass(eq=False)
class OwnLength(PruningSampler):
    """Base class of samplers whose rule decides for every sample by itself whether an epoch keeps it.

    The epochs of such a rule have a length of their own. With `fill`, every epoch has `num_kept` samples instead, so
    that methods can be compared at equal compute and a learning-rate schedule knows its steps: random samples are left
    out where the rule keeps more, and random others are added where it keeps fewer. Without `fill`, none are added, and
    `num_kept` is the greatest length: with a prune rate of 0, the rule alone decides. After `set_epoch`, `len(sampler)`
    is the length of the epoch; `total_steps` is an upper bound.

    Args:
        fill: whether every epoch has `num_kept` samples. Default: True.

    Example:
        >>> from dynprune_lib import ProgressiveDropout
        >>> lengths = []
        >>> for fill in (True, False):
        ...     sampler = ProgressiveDropout(4, prune_rate=0.25, fill=fill)
        ...     sampler.observe(torch.arange(4), torch.tensor([0.1, 3.0, 0.1, 3.0]))  # two are not learned yet
        ...     sampler.set_epoch(1)
        ...     lengths.append(len(sampler))
        >>> lengths
        [3, 2]
    """

    _: KW_ONLY
    fill: bool = True

    def __post_init__(self) -> None:
        boolean("fill", self.fill)
        super().__post_init__()
        self.num_wanted: int | None = None  # by the rule in the current period, before it is cut or filled up

    @property
    def has_fixed_length(self) -> bool:
        return self.fill

    @property
    def wanted(self) -> float | None:
        return None if self.num_wanted is None else self.num_wanted / self.num_samples

    def take(self, preferred: Tensor) -> Tensor:
        """Return the samples of an epoch.

        Args:
            preferred: (N,) bool, the samples that the rule keeps. If there are more than `num_kept` of them, they are
                drawn uniformly; if fewer, all are kept, and with `fill` the rest is drawn uniformly from the others.

        Returns:
            (num_kept,) int64, indices of the samples; without `fill`, fewer, but at least one.

        Example:
            >>> sampler = OwnLength(4, prune_rate=0.5)
            >>> sorted(sampler.take(torch.tensor([False, True, False, True])).tolist())
            [1, 3]
        """
        order = torch.randperm(self.num_samples, generator=self.random_generator("fill_epoch", self.period_number))
        comes_first = preferred.cpu()[order]
        self.num_wanted = int(comes_first.sum())
        length = self.num_kept if self.fill else min(self.num_kept, max(1, self.num_wanted))
        return torch.cat([order[comes_first], order[~comes_first]])[:length]
