"""The k-means clusters of numbers, by which SeTa groups losses."""

import numpy as np

BINS = 1_024  # resolution of the cuts between groups: time and memory of `cluster_cuts` grow with its square


def cluster_cuts(values: np.ndarray, groups: int) -> np.ndarray:
    """Return the cuts that split values into groups with the least squared distances from the group means.

    This is k-means. In one dimension, the groups are intervals and dynamic programming finds the optimum: for up to
    1024 values, for more among the edges of 1024 equal bins. The cuts, (groups - 1,), are the upper ends of all
    groups but the last, and belong to them; with fewer different values than groups, some groups are empty.
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
