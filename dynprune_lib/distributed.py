"""The collective operations of the samplers; without `torch.distributed`, those of a single process."""

import hashlib

import torch
from torch import Tensor
from torch import distributed as dist


def _is_initialized() -> bool:
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """Return the number of processes; 1 if `torch.distributed` is not initialized.

    Example:
        >>> world_size()
        1
    """
    return dist.get_world_size() if _is_initialized() else 1


def rank() -> int:
    """Return the rank of this process; 0 if `torch.distributed` is not initialized.

    Example:
        >>> rank()
        0
    """
    return dist.get_rank() if _is_initialized() else 0


def shard_length(num_samples: int) -> int:
    """Return the number of samples in the shard of each rank, the same for all: the remainder is dropped.

    Example:
        >>> shard_length(41)  # in one process; 20 in each of two
        41
    """
    return num_samples // world_size()


def shard(subset: Tensor, of_rank: int | None = None) -> Tensor:
    """Return the part of a subset that one rank trains on.

    The shards are disjoint and equally long. They depend on the subset alone, so during a period every sample is
    recorded by a single rank and `all_gather_scores` knows by which.

    Args:
        subset: (n,) indices of samples, in the same order on all ranks.
        of_rank: rank whose shard is returned. Default: None, the rank of this process.

    Returns:
        (shard_length(n),) of the type of `subset`.

    Example:
        >>> shard(torch.tensor([7, 2, 5]))  # in one process; [7] and [2] in two
        tensor([7, 2, 5])
    """
    world = world_size()
    first = rank() if of_rank is None else of_rank
    return subset[first : shard_length(len(subset)) * world : world]


def is_same(tensor: Tensor, device: torch.device) -> bool:
    """Return whether a tensor on the CPU is the same on all ranks, by a collective on a device.

    Example:
        >>> is_same(torch.arange(3), torch.device("cpu"))
        True
    """
    if world_size() == 1:
        return True
    digest = int.from_bytes(hashlib.blake2b(tensor.numpy().tobytes(), digest_size=7).digest(), "little")
    highest_and_lowest = torch.tensor([digest, -digest], device=device)
    dist.all_reduce(highest_and_lowest, dist.ReduceOp.MAX)
    return int(highest_and_lowest.sum()) == 0


def all_gather_scores(per_sample: dict[str, Tensor], subset: Tensor) -> None:
    """Share what every rank has recorded of the samples in its shard, in place, with one collective per tensor.

    Only shards are sent, not whole tensors: the other entries cannot have changed since the last call.

    Args:
        per_sample: tensors of shape (N,), the same names, types and shapes on all ranks.
        subset: (n,) indices of the samples trained on since the last call, in the same order on all ranks.

    Example:
        >>> mean = torch.tensor([0.5, 0.1])
        >>> all_gather_scores({"mean": mean}, subset=torch.tensor([1]))  # in one process, nothing to share
        >>> mean
        tensor([0.5000, 0.1000])
    """
    world = world_size()
    if world == 1:
        return
    for tensor in per_sample.values():
        own = tensor[shard(subset).long().to(tensor.device)]
        gathered = [torch.empty_like(own) for _ in range(world)]
        dist.all_gather(gathered, own)
        for other, values in enumerate(gathered):
            tensor[shard(subset, other).long().to(tensor.device)] = values
