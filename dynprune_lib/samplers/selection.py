"""Selection of the k highest of N scores in O(N), without a sort and without Python lists."""

import numpy as np
import torch
from torch import Tensor


def topk_random_ties(scores: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Return the indices of the k highest scores, with ties broken at random.

    Args:
        scores: (N,) of any real type, on any device. NaN counts as infinite, so that a sample about which nothing is
            known is kept.
        k: number of indices, from 0 to N.
        generator: CPU generator of the draw among the tied scores.

    Returns:
        (k,) int64 on the CPU, in no particular order.

    Example:
        >>> scores = torch.tensor([0.5, 0.9, 0.1, 0.5, 0.5])
        >>> generator = torch.Generator().manual_seed(0)
        >>> draws = [topk_random_ties(scores, 2, generator).tolist() for _ in range(100)]
        >>> {tuple(sorted(draw)) for draw in draws} == {(0, 1), (1, 3), (1, 4)}
        True
    """
    if k == 0:
        return torch.empty(0, dtype=torch.int64)
    scores = scores.cpu().nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    threshold = _kth_highest(scores, k)
    above = (scores > threshold).nonzero().squeeze(1)
    tied = (scores == threshold).nonzero().squeeze(1)
    drawn = torch.randperm(len(tied), generator=generator)[: k - len(above)]
    return torch.cat([above, tied[drawn]])


def _kth_highest(scores: Tensor, k: int) -> float | int:
    # NumPy's introselect runs in O(N) and is several times faster than torch.kthvalue and torch.topk on the CPU, which
    # matters because every epoch of a large data set begins with it
    place = len(scores) - k
    return np.partition(scores.numpy(), place)[place].item()  # a Python number: float32 would round large integers
