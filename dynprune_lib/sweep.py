"""Making the runs that are missing, in one process or several.

The store is all the coordination there is: every process walks the same list, claims the next run that nobody has made
or holds, and trains it. So several sweeps over one store share the work, and whatever stops one of them, a later one
goes on from the last checkpoints.
"""

import contextlib
import functools
import multiprocessing
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dynprune_lib.data import ImageData, load_dataset
from dynprune_lib.errors import DeviceIsShared, DynpruneError, RunIsTaken, StoreNotWritable, SweepError
from dynprune_lib.paths import results_dir
from dynprune_lib.profile import Profile
from dynprune_lib.progress import Progress
from dynprune_lib.runs import EpochRecord, RunRecord, RunSpec
from dynprune_lib.sharing import use_device
from dynprune_lib.static import score_samples
from dynprune_lib.store import Store
from dynprune_lib.train import train

# what one run may fail with while the others go on
RUN_ERRORS = (ValueError, DynpruneError)


class OutOfTime(Exception):
    """The next epoch would end after the deadline."""


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do: `threads` CPU threads a process (None: torch's choice) and a deadline in seconds of
    `time.time` (None: no limit)."""

    store: Store
    data_dir: str | Path | None = None
    jobs: int = 1
    threads: int | None = None
    deadline: float | None = None


def ensure_runs(
    profile: Profile,
    figure: str,
    *,
    data_dir: str | Path | None = None,
    results: str | Path | None = None,
    seeds: Iterable[int] | None = None,
) -> list[RunRecord]:
    """The records of a figure's runs, read from the store; those that are missing are trained first.

    Args:
        profile: of `load_profile`.
        figure: a figure of that profile.
        data_dir: folder of the data sets, see `load_dataset`.
        results: folder of the records, by default `results` in the checkout.
        seeds: other seeds than the profile's.

    Raises:
        SweepError: records are missing that could not be made.
    """
    specs = profile.runs(figure, seeds)
    store = Store(results_dir(results) / profile.name)
    sweep(specs, Plan(store, data_dir, threads=profile.threads))
    records = [record for spec in specs if (record := store.load(spec))]
    if len(records) < len(specs):
        left = len(specs) - len(records)
        raise SweepError(
            f"{left} runs are being trained by another process, or wait for the device that it uses: try again later"
        )
    return records


def sweep(specs: list[RunSpec], plan: Plan) -> None:
    """Makes the runs of a list that are not in the store.

    Raises:
        DataError: a data set is missing or damaged; raised before any training.
        StoreError: a record is damaged; raised before any training.
        SweepError: runs failed; the others have been made all the same, unless nothing can be kept any more.
    """
    missing = [spec for spec in specs if plan.store.load(spec) is None]
    if not missing:
        return
    for name in sorted({spec.dataset for spec in missing}):
        _load_data(name, plan.data_dir)
    with Progress(missing) as progress:
        alone = missing if plan.jobs == 1 else [spec for spec in missing if spec.alone]
        with _num_threads(plan.threads):
            _walk(alone, replace(plan, jobs=1), progress.handle)
        if together := [spec for spec in missing if spec not in alone]:
            _walk_together(together, plan, progress)
    if progress.failures:
        raise SweepError("\n".join(progress.failures))


def _walk(specs: list[RunSpec], plan: Plan, report: Callable[..., None]) -> None:
    """Trains, one after the other, the runs that nobody has made or holds. Those that wait for scores which another
    process is computing, or for the device to be theirs alone, are tried again when the others are done."""
    while specs:
        taken = []
        for spec in specs:
            try:
                with plan.store.claim(spec):
                    if plan.store.load(spec) is None:
                        _train_until(spec, plan, report)
            except (RunIsTaken, DeviceIsShared):
                taken.append(spec)
            except OutOfTime:
                return
            except StoreNotWritable as error:
                report("failed", spec, str(error))
                return  # no other run could be kept
            except torch.OutOfMemoryError as error:
                report("failed", spec, f"{spec.name}: {error}: try fewer runs at a time (--jobs) or a smaller batch")
                torch.cuda.empty_cache()
            except RUN_ERRORS as error:
                report("failed", spec, f"{spec.name}: {error}")
        specs = taken if len(taken) < len(specs) else []


def _train_until(spec: RunSpec, plan: Plan, report: Callable[..., None]) -> None:
    started = time.time()

    def on_epoch(spec: RunSpec, epoch: EpochRecord) -> None:
        nonlocal started
        report("epoch", spec, epoch)
        started, seconds = time.time(), time.time() - started
        if plan.deadline and time.time() + seconds > plan.deadline:
            raise OutOfTime

    if plan.deadline and started > plan.deadline:
        raise OutOfTime
    data = _load_data(spec.dataset, plan.data_dir)
    with use_device(data.device, spec.alone):
        scores = score_samples(spec, data, plan.store, on_epoch, plan.jobs) if spec.is_static_scored else None
        record = train(spec, data, plan.store, on_epoch, plan.jobs, scores)
    report("finished", spec, record)


def _walk_together(specs: list[RunSpec], plan: Plan, progress: Progress) -> None:
    context = multiprocessing.get_context("spawn")  # CUDA allows no fork
    events = context.Queue()
    workers = [context.Process(target=_work, args=(specs, plan, events), daemon=True) for _ in range(plan.jobs)]
    try:
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            _show_events(events, progress)
        _show_events(events, progress)
    finally:
        for worker in workers:
            worker.terminate()
    codes = [worker.exitcode for worker in workers if worker.exitcode]
    progress.failures += [f"a training process ended with exit code {code}" for code in codes]


def _show_events(events: multiprocessing.Queue, progress: Progress) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            progress.handle(*events.get(timeout=0.2))


def _work(specs: list[RunSpec], plan: Plan, events: multiprocessing.Queue) -> None:
    def report(*event: object) -> None:
        if not multiprocessing.parent_process().is_alive():
            raise SystemExit  # nobody looks any more: go on where this stopped, when a sweep is started again
        events.put(event)

    torch.set_num_threads(plan.threads or max(1, torch.get_num_threads() // plan.jobs))
    with contextlib.suppress(KeyboardInterrupt):  # the process that shows the progress tells of it
        _walk(specs, plan, report)


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
