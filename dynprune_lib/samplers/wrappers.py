"""What a sampler must know of the loaders of other libraries, which it reads from the call stack."""

import sys
from typing import Any

from torch.utils.data import DistributedSampler

from dynprune_lib import distributed

MAX_FRAMES = 12  # between a sampler and the object that iterates over its loader


def check_sharded_once() -> None:
    """Check, from the call stack of a sampler that is asked for its samples, that nothing shards them a second time.

    Each process has a shard of the subset. The loader that `accelerator.prepare` makes would keep only every W-th
    batch of that; it is told to pass all batches on, as transformers does with its own sharded sampler. The others are
    refused.

    Raises:
        ValueError: if a DistributedSampler is around the sampler, or a loader of accelerate that splits or dispatches
            its batches.
    """
    if distributed.world_size() == 1:
        return
    frame = sys._getframe(2)
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        _check_caller(frame.f_locals.get("self"))
        frame = frame.f_back  # type: ignore[assignment]  # checked above


def asked_by_torchdata() -> bool:
    """Return whether the loader of torchdata calls a method of a sampler.

    That loader saves the state of its sampler at every batch, while workers load later ones, and takes it for the
    position in the epoch. The position is the state of the iterator, the scores are saved with the run.
    """
    return type(sys._getframe(2).f_locals.get("self")).__module__.startswith("torchdata.")


def _check_caller(caller: Any) -> None:
    name = type(caller).__name__  # accelerate is not imported: it need not be installed
    if isinstance(caller, DistributedSampler) and getattr(caller, "num_replicas", 1) > 1:
        raise ValueError(
            f"a {name} is around this sampler, which already gives each process its own shard, and would shard it"
            " again: use the sampler alone; in Lightning, Trainer(use_distributed_sampler=False)"
        )
    if name == "DataLoaderDispatcher" or (name == "BatchSamplerShard" and caller.split_batches):
        option = "split_batches" if name == "BatchSamplerShard" else "dispatch_batches"
        raise ValueError(
            f"this loader was prepared with {option}=True and would shard the samples again: use {option}=False, with"
            " the batch size of one process"
        )
    if name == "BatchSamplerShard":
        caller.num_processes, caller.process_index = 1, 0
