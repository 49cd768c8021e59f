"""What samplers and training need of torch.distributed: one subset for all ranks, a share of it for each."""

import torch
from torch import Tensor
from torch import distributed as dist


def _running() -> bool:
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """The number of ranks, 1 outside torch.distributed."""
    return dist.get_world_size() if _running() else 1


def rank() -> int:
    """Of this process, 0 outside torch.distributed."""
    return dist.get_rank() if _running() else 0


def shard_length(num_kept: int) -> int:
    """How many samples each rank gets; the remainder, fewer samples than ranks, is left out."""
    return num_kept // world_size()


def shard(subset: Tensor, of: int | None = None) -> Tensor:
    """One rank's part of the subset, by default this one's: disjoint, equally long, and the same for all the epochs of
    a period, so that only one rank records a sample between two exchanges."""
    world = world_size()
    return subset[rank() if of is None else of : shard_length(len(subset)) * world : world]


def broadcast_flag(answer: bool) -> bool:
    """The first rank's answer, for all of them."""
    answers = [answer]
    if world_size() > 1:
        dist.broadcast_object_list(answers)
    return answers[0]


def average(value: Tensor) -> Tensor:
    """The mean over the ranks."""
    if world_size() > 1:
        dist.all_reduce(value)
    return value / world_size()


def all_gather_scores(memory: dict[str, Tensor], subset: Tensor) -> None:
    """Writes what every rank recorded of its share into every rank's memory, in place: one collective a tensor."""
    world = world_size()
    if world == 1:
        return
    for tensor in memory.values():
        mine = tensor[shard(subset).long().to(tensor.device)]
        gathered = [torch.empty_like(mine) for _ in range(world)]
        dist.all_gather(gathered, mine)
        for other, values in enumerate(gathered):
            tensor[shard(subset, other).long().to(tensor.device)] = values
