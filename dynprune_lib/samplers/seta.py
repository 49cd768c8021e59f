"""SeTa: a window over groups of losses that slides from easy to hard samples."""

from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from torch import Tensor

from dynprune_lib.samplers.checks import integer, real
from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.own_length import OwnLength

BINS = 1_024  # resolution of the cuts between groups: time and memory of `cluster_cuts` grow with its square


@dataclass(eq=False)
class SeTa(OwnLength, LastScore):
    """Fixed-length variant of SeTa (Zhou et al. 2025): it groups the samples by loss and draws them from a window of
    groups that slides from easy to hard.

    The groups are clusters in the sense of k-means. The window moves on by one group every period and restarts at the
    easiest group after it has reached the hardest. The authors keep uniform random subsets in the last eighth of the
    epochs (`random_from`).

    Implementation choice: every epoch has `num_kept` samples. The authors draw a random fraction of the samples,
    cluster it and train on all samples of the window, so their epochs are as long as the window is large: long while it
    includes the easy group, which has most samples, and short while it has the hard groups only. Here, all samples are
    clustered and `num_kept` of them are drawn: at random from a large window, and with random others if the window is
    too small, which makes both kinds of epochs more alike. Samples without a score are in every window.

    Args:
        groups: number of clusters, from 1 to 1024. Default: 5, as in the paper on CIFAR.
        window: fraction of the groups in the window, in (0, 1]. Default: 0.9, as in the paper on CIFAR.
        random_from: first epoch with uniform random subsets, at least 0; None for no such epochs. Default: None.

    References:
        Zhou, Gao and Wang, CVPR 2025, "Scale Efficient Training for Large Datasets", arXiv:2503.13385, and the code of
        the authors.

    Example:
        >>> sampler = SeTa(6, prune_rate=2 / 3, groups=3, window=1 / 3)
        >>> sampler.observe(torch.arange(6), torch.tensor([0.1, 0.11, 0.5, 0.51, 0.9, 0.91]))
        >>> for epoch in range(1, 5):
        ...     sampler.set_epoch(epoch)
        ...     print(sampler.subset().tolist())
        [2, 3]
        [4, 5]
        [0, 1]
        [2, 3]
    """

    _: KW_ONLY
    groups: int = 5
    window: float = 0.9
    random_from: int | None = None

    def __post_init__(self) -> None:
        self.groups = integer("groups", self.groups, at_least=1, at_most=BINS)
        self.window = real("window", self.window, "the fraction of the groups", "(0, 1]")
        if self.random_from is not None:
            self.random_from = integer("random_from", self.random_from, at_least=0)
        super().__post_init__()

    def select(self) -> Tensor:
        last = self.last.cpu()
        drawn = torch.ones(self.num_samples, dtype=torch.bool)
        if not self.fill:  # the window is taken from a random part of the data
            drawn[:] = False
            drawn[self.random_subset("drawn", self.period_number)] = True
        has_score = last.isfinite()
        if not (drawn & has_score).any() or (self.random_from is not None and self.epoch >= self.random_from):
            self.num_wanted = None  # no rule chooses these samples
            return self.random_subset("random", self.period_number)
        cuts = cluster_cuts(last[drawn & has_score].numpy(), self.groups)
        size = max(1, round(self.window * self.groups))
        begin = self.period_number % (self.groups - size + 1)
        group = torch.bucketize(last, torch.from_numpy(cuts))
        return self.take(drawn & (((group >= begin) & (group < begin + size)) | ~has_score))


def cluster_cuts(values: np.ndarray, groups: int) -> np.ndarray:
    """Return the cuts that split values into groups with the least sum of squared distances from the group means.

    This is the k-means problem. In one dimension, the groups are intervals and dynamic programming finds the optimum.

    Args:
        values: (N,) of a floating-point type, finite, at least one.
        groups: number of groups, at least 1.

    Returns:
        (groups - 1,) of the type of `values`, in ascending order: the upper ends of all groups but the last, each of
        which belongs to its group. If there are fewer different values than groups, some groups are empty. The cuts
        are optimal for up to 1024 values; for more, they are the best ones among the edges of 1024 equal bins.

    Example:
        >>> cluster_cuts(np.array([0.1, 0.2, 5.0, 5.1, 9.0]), groups=3).tolist()
        [0.2, 5.1]
    """
    if len(values) > BINS:
        low, high = float(values.min()), float(values.max())
        edges = np.linspace(low, high, BINS + 1, dtype=values.dtype)[1:]
        scale = BINS / max(high - low, 1e-30)  # clamped: finite in float32, also if all values are equal
        place = np.minimum(((values - low) * scale).astype(np.int32), BINS - 1)  # several times faster than a search
    else:
        edges, place = np.unique(values, return_inverse=True)
    # Prefix sums give the number and the sum of the values in bins i..j as a difference. The values are centred, or
    # these differences would cancel where the values are far from 0.
    count = _prefix_sums(np.bincount(place, minlength=len(edges)))
    total = _prefix_sums(np.bincount(place, weights=values - values.mean(), minlength=len(edges)))
    number, summed = count[None, 1:] - count[:-1, None], total[None, 1:] - total[:-1, None]
    # The squared distances of a group are sum(x^2) - sum(x)^2 / number. The first terms add up to the same number for
    # every split, so only the second one is the cost of bins i..j in one group.
    cost = np.where(number > 0, -(summed**2) / np.maximum(number, 1), 0.0)
    cost[np.tril_indices(len(edges), -1)] = np.inf
    # After r rounds, best[j] is the least cost of bins 0..j in r + 1 groups, some maybe empty, and begins[r - 1][j] the
    # first bin of the last of these groups. Row 0 of a round leaves its new group as the only one.
    best, begins = cost[0], []
    for _ in range(groups - 1):
        with_one_more = np.concatenate([cost[:1], best[:-1, None] + cost[1:]])
        begins.append(with_one_more.argmin(0))
        best = with_one_more.min(0)
    last, cuts = len(edges) - 1, []
    for begin in reversed(begins):
        last = max(begin[last] - 1, 0)
        cuts.append(edges[last])
    return np.array(cuts[::-1], dtype=edges.dtype)


def _prefix_sums(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
