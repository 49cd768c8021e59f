"""Worker processes of a sweep: each with a GPU, or pinned to cores of the CPU.

Workers share the list of runs by the claims of the store; this module starts them, shows what they report, and stops
them.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import cast

import torch

from dynprune_lib import stopping
from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.plan import Plan
from dynprune_lib.experiments.progress import Progress
from dynprune_lib.experiments.runs import RunSpec

Walk = Callable[[list[RunSpec], Plan, Callable[..., None]], None]


@dataclass(frozen=True)
class Placement:
    """Where a process computes.

    Args:
        device: a GPU, or the CPU.
        threads: number of CPU threads. Default: None, as it is.
        cores: numbers of the cores that the process may use. Default: none, as it is.
    """

    device: torch.device
    threads: int | None = None
    cores: tuple[int, ...] = ()

    def apply(self) -> None:
        """Have this process compute there."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        torch.set_num_threads(self.threads or torch.get_num_threads())

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Have this process compute there, with this number of threads until the context ends."""
        before = torch.get_num_threads()
        self.apply()
        try:
            yield
        finally:
            torch.set_num_threads(before)


def available_devices(chosen: tuple[int, ...] | None = None) -> list[torch.device]:
    """Return the devices of a sweep.

    Args:
        chosen: numbers of GPUs, among those that CUDA_VISIBLE_DEVICES shows. Default: None, all of them.

    Returns:
        The GPUs, or the CPU if there is none and none was chosen.

    Raises:
        SpecError: a GPU was chosen that this process does not see.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    numbers = range(count) if chosen is None else chosen
    for number in numbers:
        if number not in range(count):
            there = f"there are {count} (0 to {count - 1})" if count else "there is none"
            raise SpecError(f"device {number} is not a GPU that this process sees: {there}; see CUDA_VISIBLE_DEVICES")
    return [torch.device("cuda", number) for number in numbers] or [torch.device("cpu")]


def current_device() -> torch.device:
    """Return the device on which this process computes."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def placements(jobs: int, devices: list[torch.device], threads: int | None = None) -> list[Placement]:
    """Share devices and cores among processes.

    Args:
        jobs: number of processes.
        devices: of the sweep; the processes take them in turn.
        threads: CPU threads of each. Default: None, an equal share of torch's number.

    Returns:
        One placement a process. On a CPU, each has cores of its own where there are enough and the system can do it.

    Example:
        >>> gpus = [torch.device("cuda", 0), torch.device("cuda", 1)]
        >>> [place.device.index for place in placements(3, gpus, threads=1)]
        [0, 1, 0]
    """
    threads = threads or max(1, torch.get_num_threads() // jobs)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    is_pinned = devices[0].type == "cpu" and len(cores) >= jobs
    shares = [tuple(cores[len(cores) * i // jobs : len(cores) * (i + 1) // jobs]) for i in range(jobs)]
    return [Placement(devices[i % len(devices)], threads, shares[i] if is_pinned else ()) for i in range(jobs)]


def run_workers(walk: Walk, specs: list[RunSpec], plan: Plan, devices: list[torch.device], progress: Progress) -> None:
    """Walk a list of runs in several processes until all of them have ended.

    Args:
        walk: function of a module, called in every process with the runs, its plan and a function that reports events.
        specs: the runs.
        plan: of the sweep, with its number of processes.
        devices: those to use.
        progress: shows the events.
    """
    workers = {}  # the end of its pipe that is read here -> the process
    places = placements(plan.jobs or len(devices), devices, plan.threads)
    try:
        for place in places:
            sharing = sum(other.device == place.device for other in places)
            reader, worker = _start(walk, specs, replace(plan, jobs=sharing), place)
            workers[reader] = worker
        _follow(workers, progress)
    finally:
        _stop(list(workers.values()))


def _start(walk: Walk, specs: list[RunSpec], plan: Plan, place: Placement) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")  # CUDA allows no fork
    reader, writer = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(walk, specs, plan, place, writer, os.getpid()), daemon=True)
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
    return f"{who} {how}{hint}: another process, or the same sweep again, goes on from its last checkpoint"


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


def _work(walk: Walk, specs: list[RunSpec], plan: Plan, place: Placement, writer: Connection, parent: int) -> None:
    stopping.raise_on_sigterm()
    stopping.stop_with_parent(parent)
    place.apply()
    ended = contextlib.suppress(KeyboardInterrupt, BrokenPipeError)  # the parent has ended, or reports the interrupt
    try:
        with ended, stopping.finish_epoch_on_signal(plan.grace):
            walk(specs, plan, lambda *event: writer.send(event))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # an exception would show while the interpreter shuts down
