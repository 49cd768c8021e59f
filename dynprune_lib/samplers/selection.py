"""Selection of the highest scores: the k highest of N in O(N), and the highest of a sample that is repeated."""

import numpy as np
import torch
from torch import Tensor


def topk_random_ties(scores: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Return the indices of the k highest scores (N,), in no order, with ties broken at random: (k,) int64 on the CPU.

    NaN counts as infinite: a sample about which nothing is known is kept. The generator is one of the CPU.
    """
    if k == 0:
        return torch.empty(0, dtype=torch.int64, device="cpu")
    scores = scores.cpu().nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    threshold = _kth_highest(scores, k)
    above = (scores > threshold).nonzero().squeeze(1)
    tied = (scores == threshold).nonzero().squeeze(1)
    drawn = torch.randperm(len(tied), generator=generator, device="cpu")[: k - len(above)]
    return torch.cat([above, tied[drawn]])


def highest_of_repeated(index: Tensor, scores: Tensor, usable: Tensor) -> tuple[Tensor, Tensor]:
    """Return the highest usable score of each sample, (B,) float32, and whether it has one.

    All arguments have the shape (B,). The device is not synchronised.
    """
    in_order, order = index.sort()
    is_next = in_order[1:] != in_order[:-1]
    if index.device.type == "cpu" and is_next.all():  # the usual case; elsewhere, looking would synchronise the device
        return scores, usable
    group = torch.zeros_like(index)
    group[order[1:]] = is_next.cumsum(0)
    counted = torch.where(usable, scores, -torch.inf)
    highest = torch.full_like(scores, -torch.inf).scatter_reduce_(0, group, counted, "amax")[group]
    return highest, highest > -torch.inf


def none_of(num_samples: int) -> Tensor:
    """Return marks of no sample, (N,) bool on the CPU, whatever the default device is."""
    return torch.zeros(num_samples, dtype=torch.bool, device="cpu")


def marks(num_samples: int, index: Tensor) -> Tensor:
    """Return which samples are in an index on the CPU, (N,) bool."""
    return none_of(num_samples).index_fill_(0, index.long(), True)


def is_repeated(index: Tensor) -> Tensor:
    """Return which places of a batch have a sample that an earlier place has, (B,) bool, without synchronising."""
    in_order, order = index.sort(stable=True)
    repeated = torch.zeros_like(index, dtype=torch.bool)
    repeated[order[1:]] = in_order[1:] == in_order[:-1]
    return repeated


def _kth_highest(scores: Tensor, k: int) -> float | int:
    # NumPy's introselect runs in O(N) and is several times faster than torch.kthvalue and torch.topk on the CPU, which
    # matters because every epoch of a large data set begins with it
    place = len(scores) - k
    return np.partition(scores.numpy(), place)[place].item()  # a Python number: float32 would round large integers
