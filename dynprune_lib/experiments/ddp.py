"""Data-parallel training of one run, one process per device, started by torchrun."""

import contextlib
import functools
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import distributed as dist

from dynprune_lib.distributed import rank
from dynprune_lib.experiments.data import load_dataset
from dynprune_lib.experiments.make import check_images, make_run
from dynprune_lib.experiments.progress import Progress
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store


def is_rank() -> bool:
    """Return whether torchrun has started this process."""
    return dist.is_available() and dist.is_torchelastic_launched()


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Join the process group of torchrun; do nothing if torchrun has not started this process."""
    if not is_rank():
        yield
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        gc.collect()  # DDP objects are in reference cycles and own threads, which abort a process that ends before them
        dist.destroy_process_group()


def make_run_together(spec: RunSpec, data_dir: str | Path | None, store: Store) -> RunRecord:
    """Make a run on all ranks, each with its share of every batch; the first rank writes checkpoints and the record.

    Raises:
        SpecError: the batch size cannot be shared equally.
        RunLocked: another process makes this run.
        SweepError: the run needs scores that are not in the store.
        StoreError: a file of the store is damaged, or nothing can be written.
    """
    if record := store.load(spec):
        check_images(record, functools.partial(load_dataset, spec.dataset, data_dir))
        return record
    data = load_dataset(spec.dataset, data_dir, _device())
    if rank() > 0:
        return make_run(spec, data, store)
    with store.claim(spec), Progress([spec]) as progress:
        return make_run(spec, data, store, functools.partial(progress.handle, "epoch"))


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return torch.device("cuda", torch.cuda.current_device())
