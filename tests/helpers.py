"""What several test files share."""

import dataclasses
import gc
import os
import socket
import time
from pathlib import Path

import numpy as np
import torch
from torch import multiprocessing

ROOT = Path(__file__).resolve().parent.parent


class Stop(Exception):
    """Interrupts a run."""


def stop_after(epochs):
    """Return an `on_epoch` that interrupts a run after some epochs."""
    left = epochs

    def on_epoch(*_):
        nonlocal left
        left -= 1
        if left == 0:
            raise Stop

    return on_epoch


def results(record):
    """Return the epochs of a record without their times."""
    epochs = [dataclasses.asdict(epoch) for epoch in record.epochs]
    return [{name: epoch[name] for name in epoch if not name.endswith("_seconds")} for epoch in epochs]


def tiny(sampler="full", prune_rate=0.0, **fields):
    """Return a run of the smallest net on digits."""
    from dynprune_lib.experiments.runs import RunSpec  # the tests of the samplers run without it

    return RunSpec(**{"dataset": "digits", "model": "tiny", "sampler": sampler, "prune_rate": prune_rate} | fields)


def make_record(spec):
    """Return a record that was not trained."""
    from dynprune_lib.experiments.records import EpochRecord, RunRecord

    columns = {field.name: 2 if field.type is int else 1.5 for field in dataclasses.fields(EpochRecord)}
    made = [EpochRecord(**columns | {"test_accuracy": min(0.5 + epoch / 10, 1.0)}) for epoch in range(spec.epochs)]
    environment = {"device": "cpu", "threads": 1, "jobs": 1, "precision": "float32"}
    return RunRecord(spec=spec, epochs=made, environment=environment)


def save_record(folder, record):
    """Save a record whose samples were each selected once."""
    from dynprune_lib.experiments.store import Store

    Store(folder).save(record, {"selections": np.ones(1437, dtype=np.uint8)})


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def wait_until(is_true, seconds=120):
    """Wait until something is true; return whether it is."""
    end = time.monotonic() + seconds
    while not (found := is_true()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def in_two_processes(work, folder, **options):
    """Return what `work(folder, **options)` returns in each of two processes that can meet."""
    multiprocessing.spawn(_begin, args=(work, free_port(), str(folder), options), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def _begin(rank, work, port, folder, options):
    torch.set_num_threads(1)
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= world | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    torch.save(work(folder, **options), f"{folder}/{rank}.pt")
    gc.collect()  # models are in reference cycles and own threads, which abort a process that ends before them
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def free_port():
    """Return a TCP port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def environment(**changes):
    """Return this process's environment for a process that tests start, with one thread."""
    return os.environ | {"OMP_NUM_THREADS": "1"} | changes
