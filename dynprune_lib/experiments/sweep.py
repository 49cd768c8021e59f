"""Making the missing runs of a list, in one process or several.

The store is all the coordination there is: every process walks the same list, claims the next run that nobody has made
or holds, and trains it. Several sweeps over one store therefore share the work, and after an interruption the next
sweep resumes from the last checkpoints.
"""

import contextlib
import functools
import gc
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import torch

from dynprune_lib import stopping
from dynprune_lib.errors import DeviceBusy, DynpruneError, RunLocked, StoreError, StoreNotWritable, SweepError
from dynprune_lib.experiments.data import ImageData, load_dataset
from dynprune_lib.experiments.make import make_run
from dynprune_lib.experiments.profile import Profile
from dynprune_lib.experiments.progress import Progress
from dynprune_lib.experiments.records import EpochRecord, RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import private_folder, results_dir

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")  # torch's messages


class OutOfTime(Exception):
    """The next epoch would end after the deadline."""


@dataclass(frozen=True)
class Plan:
    """How a sweep is made.

    Args:
        store: of the records.
        data_dir: folder of the data sets. Default: see `load_dataset`.
        jobs: number of processes. Default: 1.
        threads: CPU threads per process. Default: None, torch's choice.
        deadline: in seconds of `time.time()`. Default: None, no limit.
    """

    store: Store
    data_dir: str | Path | None = None
    jobs: int = 1
    threads: int | None = None
    deadline: float | None = None


def ensure_runs(
    profile: Profile,
    experiment: str,
    *,
    data_dir: str | Path | None = None,
    results: str | Path | None = None,
    seeds: Iterable[int] | None = None,
) -> list[RunRecord]:
    """Return the records of an experiment, training those that are missing.

    Args:
        profile: from `load_profile`.
        experiment: name of an experiment of the profile.
        data_dir: folder of the data sets. Default: see `load_dataset`.
        results: folder of the records. Default: `results` in the checkout.
        seeds: Default: those of the profile.

    Raises:
        SweepError: records are missing that could not be made.
    """
    specs = profile.runs(experiment, seeds)
    store = Store(results_dir(results) / profile.name)
    sweep(specs, Plan(store, data_dir, threads=profile.threads))
    records = [record for spec in specs if (record := store.load(spec))]
    if len(records) < len(specs):
        left = len(specs) - len(records)
        raise SweepError(f"{left} runs are being trained by another process, or wait for its device: try again later")
    return records


def sweep(specs: list[RunSpec], plan: Plan) -> None:
    """Make the runs that are not in the store. A run that fails does not stop the others.

    Args:
        specs: in the order in which they are made.
        plan: how.

    Raises:
        DataError: a data set is missing or damaged; raised before any training.
        PrivateFolderError: there is no folder for the locks of this user; raised before any training.
        SweepError: runs failed, or their records are damaged; the others have been made, unless nothing can be written
            any more. The message has one line per run.
    """
    private_folder("locks")
    missing, damaged = _look(specs, plan.store)
    for name in sorted({spec.dataset for spec in missing}):
        _load_data(name, plan.data_dir)
    failures = damaged + (_make(missing, plan) if missing else [])
    if failures:
        raise SweepError("\n".join(failures))


def _look(specs: list[RunSpec], store: Store) -> tuple[list[RunSpec], list[str]]:
    """Return the runs without a record, and one line for each damaged record."""
    missing, damaged = [], []
    for spec in specs:
        try:
            if store.load(spec) is None:
                missing.append(spec)
        except StoreError as error:
            damaged.append(str(error))
    return missing, damaged


def _make(missing: list[RunSpec], plan: Plan) -> list[str]:
    with Progress(missing) as progress:
        alone = missing if plan.jobs == 1 else [spec for spec in missing if spec.alone]
        with _num_threads(plan.threads):
            _walk(alone, replace(plan, jobs=1), progress.handle)
        if together := [spec for spec in missing if spec not in alone]:
            _walk_together(together, plan, progress)
    return progress.failures


def _walk(specs: list[RunSpec], plan: Plan, report: Callable[..., None]) -> None:
    """Train, one after the other, the runs that nobody has made or holds.

    Runs that wait for scores of another process, or for the device to be theirs alone, are tried again when the others
    are done.
    """
    while specs:
        taken = []
        for spec in specs:
            try:
                with plan.store.claim(spec):
                    if plan.store.load(spec) is None:  # another process may have made it since `_look`
                        _make_until(spec, plan, report)
            except (RunLocked, DeviceBusy):
                taken.append(spec)
            except OutOfTime:
                return
            except StoreNotWritable as error:
                report("failed", spec, str(error))
                return  # no other run could be saved
            except Exception as error:  # whatever it is, the other runs do not depend on it
                report("failed", spec, f"{spec.name}: {_what_happened(error)}")
                _free_memory()
        specs = taken if len(taken) < len(specs) else []


def _make_until(spec: RunSpec, plan: Plan, report: Callable[..., None]) -> None:
    started = time.time()

    def on_epoch(spec: RunSpec, epoch: EpochRecord) -> None:
        nonlocal started
        report("epoch", spec, epoch)
        started, seconds = time.time(), time.time() - started
        if plan.deadline and time.time() + seconds > plan.deadline:
            raise OutOfTime

    if plan.deadline and started > plan.deadline:
        raise OutOfTime
    report("begun", spec, None)
    record = make_run(spec, _load_data(spec.dataset, plan.data_dir), plan.store, on_epoch, plan.jobs)
    report("finished", spec, record)


def _what_happened(error: Exception) -> str:
    """Return one line where that is enough for a user, else the traceback for whoever fixes the code."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in str(error) for word in OUT_OF_MEMORY):
        reason = str(error).splitlines()[0] if str(error) else "out of memory"
        return f"{reason}: try fewer runs at a time (--jobs) or a smaller batch"
    if isinstance(error, DynpruneError):
        return str(error)
    return "".join(traceback.format_exception(error)).strip()


def _free_memory() -> None:
    gc.collect()  # the frames of the traceback held the model
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _walk_together(specs: list[RunSpec], plan: Plan, progress: Progress) -> None:
    workers = {}  # the end of its pipe that is read here -> the process
    try:
        for _ in range(plan.jobs):
            reader, worker = _start(specs, plan)
            workers[reader] = worker
        _follow(workers, progress)
    finally:
        _stop(list(workers.values()))


def _start(specs: list[RunSpec], plan: Plan) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")  # CUDA allows no fork
    reader, writer = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(specs, plan, writer, os.getpid()), daemon=True)
    with stopping.sigint_kept_from_children():
        worker.start()
    writer.close()  # only the worker has it now, so the pipe ends with the worker
    return reader, worker


def _follow(workers: dict[Connection, BaseProcess], progress: Progress) -> None:
    """Show what workers report until all of them have ended."""
    running: dict[Connection, RunSpec | None] = {}
    readers = list(workers)
    while readers:
        for reader in cast(list[Connection], wait(readers)):
            try:
                event, spec, value = reader.recv()
            except (EOFError, OSError):
                readers.remove(reader)
                workers[reader].join()
                if code := workers[reader].exitcode:
                    message = _how_it_ended(code, running.get(reader))
                    progress.handle("failed", running.get(reader), message)
                continue
            running[reader] = spec if event in ("begun", "epoch") else None
            progress.handle(event, spec, value)


def _how_it_ended(code: int, spec: RunSpec | None) -> str:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    who = f"the process that trained {spec.name}" if spec else "a training process"
    hint = " (SIGKILL is how a system that is short of memory stops a process)" if code == -signal.SIGKILL else ""
    return f"{who} {how}{hint}: the same sweep again goes on from its last checkpoint"


def _stop(workers: list[BaseProcess]) -> None:
    """Stop the processes that still run: by SIGTERM, then by SIGKILL."""
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
    deadline = time.monotonic() + stopping.GRACE
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        worker.kill()
        worker.join()


def _work(specs: list[RunSpec], plan: Plan, writer: Connection, parent: int) -> None:
    stopping.raise_on_sigterm()
    stopping.stop_with_parent(parent)
    torch.set_num_threads(plan.threads or max(1, torch.get_num_threads() // plan.jobs))
    try:
        with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):  # the parent has ended, or reports the interrupt
            _walk(specs, plan, lambda *event: writer.send(event))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # an exception would show while the interpreter shuts down


@contextlib.contextmanager
def _num_threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.lru_cache(maxsize=1)
def _load_data(name: str, data_dir: str | Path | None) -> ImageData:
    return load_dataset(name, data_dir, "cuda" if torch.cuda.is_available() else "cpu")
