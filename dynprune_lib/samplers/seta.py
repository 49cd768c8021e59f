"""SeTa: a window over groups of losses that slides from the easy samples to the hard ones."""

from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from torch import Tensor

from dynprune_lib.samplers.checks import integer, real
from dynprune_lib.samplers.last_score import LastScore

BINS = 1_024  # cuts between groups lie on the edges of so many bins, of more values than that


@dataclass(eq=False)
class SeTa(LastScore):
    """A random share of the samples in a window over groups of losses, the clusters of the k-means problem, from easy
    to hard; every period the window slides on by a group, and begins anew at the easy end when it has reached the hard
    one (Zhou, Gao, Wang, CVPR 2025, and its authors' code). The source takes random subsets in the
    last eighth of the epochs: `random_from`.

    The source draws a random share and groups it; this groups all samples and draws from the window as many as are to
    be kept, which is the same when the share is chosen so. Samples that have no score yet are in every window.

    Args:
        groups: how many clusters, at least 1; 5 in the source's runs on CIFAR.
        window: the share of the groups in the window, in (0, 1]; 0.9 there.
        random_from: uniform subsets from this epoch on; None: never.
    """

    _: KW_ONLY
    groups: int = 5
    window: float = 0.9
    random_from: int | None = None

    def __post_init__(self) -> None:
        self.groups = integer("groups", self.groups, at_least=1, at_most=BINS)
        self.window = real("window", self.window, "the share of the groups", "(0, 1]")
        if self.random_from is not None:
            self.random_from = integer("random_from", self.random_from, at_least=0)
        super().__post_init__()

    def select(self) -> Tensor:
        last = self.last.cpu()
        has_score = last.isfinite()
        if not has_score.any() or (self.random_from is not None and self.epoch >= self.random_from):
            return self.random_subset("random", self.period_number)
        cuts = cluster_cuts(last[has_score].numpy(), self.groups)
        size = max(1, round(self.window * self.groups))
        begin = self.period_number % (self.groups - size + 1)
        group = torch.bucketize(last, torch.from_numpy(cuts))
        return self.fill_epoch(((group >= begin) & (group < begin + size)) | ~has_score)


def cluster_cuts(values: np.ndarray, groups: int) -> np.ndarray:
    """The upper ends (groups - 1,) of all groups but the last, each within its group, that split `values` with the
    least sum of squared distances from the means of the groups: the k-means problem, which in one dimension dynamic
    programming solves. Exact up to BINS values; of more, the cuts lie on the edges of BINS equal bins, of which each
    has its sum and number of values. Where there are fewer different values than groups, some have none."""
    if len(values) > BINS:
        low, high = float(values.min()), float(values.max())
        edges = np.linspace(low, high, BINS + 1, dtype=values.dtype)[1:]
        scale = BINS / max(high - low, 1e-30)  # finite in float32
        place = np.minimum(((values - low) * scale).astype(np.int32), BINS - 1)  # a search would take far longer
    else:
        edges, place = np.unique(values, return_inverse=True)
    count = _sums(np.bincount(place, minlength=len(edges)))
    total = _sums(np.bincount(place, weights=values - values.mean(), minlength=len(edges)))
    # the cost of bins i..j in one group, but for the sum of squares, which every split has: -(sum)^2 / number
    number, summed = count[None, 1:] - count[:-1, None], total[None, 1:] - total[:-1, None]
    cost = np.where(number > 0, -(summed**2) / np.maximum(number, 1), 0.0)
    cost[np.tril_indices(len(edges), -1)] = np.inf
    best, begins = cost[0], []
    for _ in range(groups - 1):  # best[j]: of bins 0..j in as many groups as there were rounds, some maybe empty
        with_one_more = np.concatenate([cost[:1], best[:-1, None] + cost[1:]])
        begins.append(with_one_more.argmin(0))
        best = with_one_more.min(0)
    last, cuts = len(edges) - 1, []
    for begin in reversed(begins):
        last = max(begin[last] - 1, 0)
        cuts.append(edges[last])
    return np.array(cuts[::-1], dtype=edges.dtype)


def _sums(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
