"""Worker processes that each do one task after the other; one that dies is replaced, and its task is tried once more.

This module imports no torch: a worker watches its parent before the seconds that such imports take.
"""

import contextlib
import multiprocessing
import multiprocessing.resource_tracker
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Self, cast

from dynprune_lib import stopping


@dataclass(frozen=True)
class Placement:
    """Where a process computes, and how many processes share the device."""

    device: str = "cpu"
    threads: int | None = None
    cores: tuple[int, ...] = ()
    sharing: int = 1

    def apply(self) -> None:
        import torch

        if self.device != "cpu":
            torch.cuda.set_device(self.device)
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        torch.set_num_threads(self.threads or torch.get_num_threads())


def placements(jobs: int, devices: Sequence[str], threads: int) -> list[Placement]:
    """Share devices and cores among processes: on a CPU, each has cores of its own where there are enough."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    is_pinned = devices[0] == "cpu" and len(cores) >= jobs
    shares = [tuple(cores[len(cores) * i // jobs : len(cores) * (i + 1) // jobs]) for i in range(jobs)]
    used = [devices[i % len(devices)] for i in range(jobs)]
    return [
        Placement(device, threads, share if is_pinned else (), used.count(device))
        for device, share in zip(used, shares, strict=True)
    ]


class Workers:
    """Processes, one for each place, that do one task at a time, from their first task to the end of the context.

    `do` takes a task, a function that reports an event and its value, and the placement; it returns the last event.
    """

    def __init__(self, places: Sequence[Placement], do: Callable[[Any, Callable[..., None], Placement], Any]) -> None:
        self.under_way: dict[BaseProcess, Any] = {}
        self._free = list(reversed(places))
        self._packed = pickle.dumps(do)  # unpacked by a worker that watches its parent already
        self._idle: list[BaseProcess] = []
        self._pipes: dict[BaseProcess, tuple[Connection, Placement]] = {}
        self._retried: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with stopping.signals_held():  # a second Ctrl-C does not leave some of them alive
            for worker in self._pipes:
                worker.kill()  # nothing is lost: files are written whole, and locks end with their process
            for worker in self._pipes:
                worker.join()

    @property
    def has_room(self) -> bool:
        return bool(self._idle or self._free)

    def give(self, task: Any) -> None:
        worker = self._idle.pop() if self._idle else self._start(self._free.pop())
        self.under_way[worker] = task
        with contextlib.suppress(BrokenPipeError):  # it has died: `events` finds out
            self._pipes[worker][0].send(task)

    def events(self) -> Iterator[tuple[str, Any, Any]]:
        """Wait for events; yield each with its task and value: reports, "died" for a task that is retried, "failed" if
        it died again."""
        readers = {self._pipes[worker][0]: worker for worker in self.under_way}
        for reader in cast(list[Connection], wait(readers)):
            worker = readers[reader]
            task = self.under_way[worker]
            try:
                is_done, event, value = reader.recv()
            except (EOFError, OSError):
                yield from self._replace(worker)
                continue
            if is_done:
                del self.under_way[worker]
                self._idle.append(worker)
            yield event, task, value

    def _replace(self, worker: BaseProcess) -> Iterator[tuple[str, Any, Any]]:
        worker.join()
        _, place = self._pipes.pop(worker)
        self._free.append(place)
        task, how = self.under_way.pop(worker), _how_it_ended(worker.exitcode or 0)
        if task in self._retried:
            yield "failed", task, f"its process {how}, twice"
            return
        self._retried.append(task)
        yield "died", task, how
        self.give(task)

    def _start(self, place: Placement) -> BaseProcess:
        context = multiprocessing.get_context("spawn")  # CUDA allows no fork
        here, there = context.Pipe()
        multiprocessing.resource_tracker.ensure_running()  # its start would let the signals through
        worker = context.Process(target=_work, args=(there, os.getpid(), self._packed, place), daemon=True)
        with stopping.signals_held():  # by the worker too, for all its life: its parent ends it
            worker.start()
            self._pipes[worker] = here, place
        there.close()  # only the worker has it now, so the pipe ends with the worker
        return worker


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    hint = " (out of memory? Try fewer --jobs)" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def _work(pipe: Connection, parent: int, packed: bytes, place: Placement) -> None:
    stopping.end_with_parent(parent)
    do = pickle.loads(packed)
    place.apply()
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent has ended
        while True:
            task = pipe.recv()
            event, value = do(task, lambda event, value: pipe.send((False, event, value)), place)
            pipe.send((True, event, value))
