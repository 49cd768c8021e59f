"""Make the missing runs of a list, in this process or in several.

Locks of the store keep two sweeps over one folder from making the same run; after an interruption, the next sweep
resumes from the last checkpoints.
"""

import contextlib
import functools
import gc
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dynprune_lib.errors import (
    Busy,
    DataError,
    DynpruneError,
    SpecError,
    StoreError,
    StoreNotWritable,
    SweepError,
    is_out_of_memory,
)
from dynprune_lib.experiments.data import FOLDER, TensorData, load_dataset
from dynprune_lib.experiments.locks import device_locks
from dynprune_lib.experiments.make import make_run
from dynprune_lib.experiments.records import EpochRecord, RunRecord
from dynprune_lib.experiments.runs import RunSpec, validate
from dynprune_lib.experiments.schedule import Schedule, Task, tasks_of
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.workers import Placement, Workers, placements


class OutOfTime(Exception):
    """The next epoch would end after the deadline."""


@dataclass(frozen=True)
class Plan:
    """How a sweep is made.

    Args:
        store: of the records.
        data_dir: folder of the data sets. Default: see `load_dataset`.
        jobs: number of processes. Default: None, one for each device.
        threads: CPU threads of each. Default: None, an equal share of torch's number.
        deadline: in seconds of `time.time()`. Default: None, no limit.
        devices: GPUs to use, numbered as CUDA_VISIBLE_DEVICES shows them. Default: None, all of them, else the CPU.
        lines: whether to write a line per finished run, next to the progress bar. Default: True.
    """

    store: Store
    data_dir: str | Path | None = None
    jobs: int | None = None
    threads: int | None = None
    deadline: float | None = None
    devices: tuple[int, ...] | None = None
    lines: bool = True

    def ends_within(self, seconds: float = 0) -> bool:
        """Return whether the time is up after some seconds."""
        return self.deadline is not None and time.time() + seconds > self.deadline


def sweep(specs: list[RunSpec], plan: Plan) -> None:
    """Make the runs that are not in the store, in their order. A run that fails does not stop the others.

    Raises:
        DataError, StoreNotWritable, SpecError: a data set, the folder of locks, a device or a run is not usable; raised
            before any training.
        SweepError: runs failed, or their records are damaged, one line each; the others have been made, unless nothing
            can be written any more.
        KeyboardInterrupt: the message names the runs that were under way.
    """
    device_locks()
    devices = available_devices(plan.devices)
    missing, failures = _look(specs, plan)
    for name in sorted({spec.dataset for spec in missing}):
        _load_on("cpu", name, plan.data_dir)
    if missing:
        failures += _make(missing, plan, devices)
    if failures:
        raise SweepError("\n".join(failures))


def available_devices(chosen: tuple[int, ...] | None = None) -> list[str]:
    """Return the chosen GPUs, or all that CUDA_VISIBLE_DEVICES shows, or the CPU where there is none."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for number in chosen or ():
        if number not in range(count):
            remedy = f"choose from 0 to {count - 1}" if count else "no GPU is"
            raise SpecError(f"device {number} is not visible to this process: {remedy}; see CUDA_VISIBLE_DEVICES")
    return [f"cuda:{number}" for number in (range(count) if chosen is None else chosen)] or ["cpu"]


def _look(specs: list[RunSpec], plan: Plan) -> tuple[list[RunSpec], list[str]]:
    """Return the runs without a record, and one line for each record that is damaged or of other images."""
    missing, damaged = [], []
    for spec in specs:
        try:
            record = plan.store.load(spec)
            if record is None:
                validate(spec)
                missing.append(spec)
            else:
                with contextlib.suppress(OSError):  # a folder that is only read
                    plan.store.forget_checkpoint(spec)
                _check_images(record, plan)
        except StoreError as error:
            damaged.append(str(error))
    return missing, damaged


def _check_images(record: RunRecord, plan: Plan) -> None:
    """Raise StoreError if the images of a recorded image folder have changed."""
    if record.spec.dataset.startswith(FOLDER):
        with contextlib.suppress(DataError):  # records are read where their images are not
            data = _load_on("cpu", record.spec.dataset, plan.data_dir)
            if record.environment["data_md5"] != data.md5:
                raise StoreError(
                    f"the images of {data.name} have changed since the record {record.spec.name}: remove it and make it"
                    " again, or use another folder of results"
                )


def _make(missing: list[RunSpec], plan: Plan, devices: list[str]) -> list[str]:
    """Make runs; return a message for each that failed."""
    for spec in missing:
        plan.store.forget_failure(spec)
    tasks = tasks_of(missing, plan.store)
    jobs = min(plan.jobs or len(devices), len(tasks))
    here = Placement(devices[0], plan.threads)
    places = placements(jobs, devices, plan.threads or max(1, torch.get_num_threads() // jobs))
    # a run that needs the device alone is made before the others begin, or after they are done
    alone = [task for task in tasks if jobs == 1 or task.spec.alone]
    together = [task for task in tasks if jobs > 1 and not task.spec.alone]
    with Schedule(tasks, plan) as schedule:
        try:
            while left := len(alone) + len(together):
                alone = _one_by_one(alone, schedule, plan, here)
                together = _side_by_side(together, schedule, plan, places) if together else []
                if len(alone) + len(together) == left:  # other processes make them, or have the device
                    break
        except KeyboardInterrupt as interrupt:
            names = ", ".join(schedule.under_way) or "no run"
            message = f"interrupted, {names} under way; the same command resumes from the last checkpoint"
            raise type(interrupt)(message) from None
    return list(schedule.failures.values())


def _one_by_one(tasks: list[Task], schedule: Schedule, plan: Plan, place: Placement) -> list[Task]:
    """Do tasks in this process; return those that other processes hold."""
    schedule.begin(tasks)
    threads = torch.get_num_threads()
    try:
        while task := schedule.next():
            place.apply()

            def report(event: str, value: Any, task: Task = task) -> None:
                schedule.handle(event, task, value)

            report(*_do(plan, task, report, place))
    finally:
        torch.set_num_threads(threads)
    return schedule.taken


def _side_by_side(tasks: list[Task], schedule: Schedule, plan: Plan, places: list[Placement]) -> list[Task]:
    """Do tasks in worker processes; return those that processes of other sweeps hold."""
    schedule.begin(tasks)
    with Workers(places, functools.partial(_do, plan)) as workers:
        while True:
            while workers.has_room and (task := schedule.next()):
                workers.give(task)
            if not schedule.under_way:
                return schedule.taken
            for event, task, value in workers.events():
                schedule.handle(event, task, value)


def _do(plan: Plan, task: Task, report: Callable[[str, Any], None], place: Placement) -> tuple[str, Any]:
    """Do a task; return how it ended, an event of `Schedule`, and its value."""
    spec, store, started = task.spec, plan.store, time.time()

    def on_epoch(epoch: EpochRecord) -> None:
        nonlocal started
        report("epoch", epoch)
        started, seconds = time.time(), time.time() - started
        if plan.ends_within(seconds):
            raise OutOfTime

    try:
        data = _load_on(place.device, spec.dataset, plan.data_dir)
        if task.scores_only:
            make_run(spec, data, store, on_epoch, place.sharing, scores_only=True)
            return "scored", None
        with store.claim(spec):  # another process may have made it since `_look`
            return "made", store.load(spec) or make_run(spec, data, store, on_epoch, place.sharing)
    except Busy:
        return "taken", None
    except OutOfTime:
        return "stopped", None
    except StoreNotWritable as error:
        return "unwritable", str(error)
    except Exception as error:  # whatever it is, the other runs do not depend on it
        message = _what_happened(error)
        gc.collect()  # the frames of the traceback held the model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return "failed", message


def _what_happened(error: Exception) -> str:
    """Return one line where that is enough for a user, else the traceback for whoever fixes the code."""
    if is_out_of_memory(error):
        reason = str(error).splitlines()[0] if str(error) else "out of memory"
        return f"{reason}: try fewer runs at a time (--jobs) or a smaller batch"
    if isinstance(error, DynpruneError):
        return str(error)
    return "".join(traceback.format_exception(error)).strip()


@functools.cache  # a sweep that alternates between data sets keeps them
def _load_on(device: str, name: str, data_dir: str | Path | None) -> TensorData:
    return load_dataset(name, data_dir, device)
