"""Data-parallel training of one run, a process a device: `torchrun --standalone --nproc-per-node 2 -m dynprune_lib`."""

import contextlib
import functools
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import distributed as dist

from dynprune_lib.distributed import rank
from dynprune_lib.errors import SweepError
from dynprune_lib.experiments.data import load_dataset
from dynprune_lib.experiments.device_lock import use_device
from dynprune_lib.experiments.progress import Progress
from dynprune_lib.experiments.runs import RunRecord, RunSpec
from dynprune_lib.experiments.static_scores import stored_scores
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.train import train


def is_rank() -> bool:
    """Return whether torchrun has started this process."""
    return dist.is_available() and dist.is_torchelastic_launched()


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun has started, if it has started this one."""
    if not is_rank():
        yield
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        gc.collect()  # DDP lives in cycles of references, and with it threads that abort a process ending before them
        dist.destroy_process_group()


def train_together(spec: RunSpec, data_dir: str | Path | None, store: Store) -> RunRecord:
    """Trains a run on all ranks, each with its share of every batch; the first one keeps checkpoints and the record.

    Raises:
        ValueError: the batch size cannot be shared equally.
        RunLocked: another process trains this run.
        SweepError: the run needs scores that are not in the store.
        StoreError: these are damaged, or of another data set.
    """
    if record := store.load(spec):
        return record
    data = load_dataset(spec.dataset, data_dir, _device())
    scores = stored_scores(spec, data, store) if spec.is_static_scored else None
    if spec.is_static_scored and scores is None:
        raise SweepError(f"the scores of {spec.name} are computed by one process: start it without torchrun first")
    with use_device(data.device, spec.alone):
        if rank() > 0:
            return train(spec, data, store, scores=scores)
        with store.claim(spec), Progress([spec]) as progress:
            return train(spec, data, store, functools.partial(progress.handle, "epoch"), scores=scores)


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return torch.device("cuda", torch.cuda.current_device())
