"""Selecting the k best of N in O(N), without a sort and without a Python list."""

import numpy as np
import torch
from torch import Tensor


def highest(scores: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """The k indices with the highest scores (N,), ties broken at random: (k,) int64 on the CPU."""
    if k == 0:
        return torch.empty(0, dtype=torch.int64)
    scores = scores.cpu()
    edge = _kth_highest(scores, k)
    above = (scores > edge).nonzero().squeeze(1)
    tied = (scores == edge).nonzero().squeeze(1)
    drawn = torch.randperm(len(tied), generator=generator)[: k - len(above)]
    return torch.cat([above, tied[drawn]])


def _kth_highest(scores: Tensor, k: int) -> float:
    # NumPy's introselect is several times faster than torch.kthvalue and torch.topk on the CPU
    place = len(scores) - k
    return float(np.partition(scores.numpy(), place)[place])
