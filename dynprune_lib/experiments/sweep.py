"""Making the missing runs of a list, in one process or several.

The store is all the coordination there is: every process walks the same list, claims the next run that nobody has made
or holds, and trains it. Several sweeps over one store therefore share the work, and after an interruption the next
sweep resumes from the last checkpoints.
"""

import contextlib
import functools
import gc
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dynprune_lib import stopping
from dynprune_lib.errors import (
    DataError,
    DeviceBusy,
    DynpruneError,
    RunLocked,
    StoreError,
    StoreNotWritable,
    SweepError,
    is_out_of_memory,
)
from dynprune_lib.experiments import leases
from dynprune_lib.experiments.data import TensorData, load_dataset
from dynprune_lib.experiments.make import check_images, make_run
from dynprune_lib.experiments.plan import Plan
from dynprune_lib.experiments.profile import Profile
from dynprune_lib.experiments.progress import Progress
from dynprune_lib.experiments.records import EpochRecord, RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.static_scores import missing_scorings, scoring_spec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.workers import Placement, available_devices, current_device, run_workers
from dynprune_lib.paths import private_folder, results_dir


class OutOfTime(Exception):
    """The next epoch would end after the deadline, or the process is to stop after this one."""


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Args:
        failures: one message per run that failed.
        stopped: whether the time was up, or a signal has come, before all runs were made.
    """

    failures: list[str]
    stopped: bool


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
    sweep(specs, Plan(store, data_dir, jobs=1, threads=profile.threads))
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
        SpecError: there is no such device; raised before any training.
        SweepError: runs failed, or their records are damaged; the others have been made, unless nothing can be written
            any more. The message has one line per run.
    """
    if failures := make_missing(specs, plan).failures:
        raise SweepError("\n".join(failures))


def make_missing(specs: list[RunSpec], plan: Plan) -> Outcome:
    """Make the runs that are not in the store, as `sweep`, and return how it ended instead of raising SweepError."""
    private_folder("locks")
    devices = available_devices(plan.devices)
    missing, damaged = _look(specs, plan)
    if not missing:
        return Outcome(damaged, stopped=False)
    with Placement(devices[0], plan.threads).applied():
        for name in sorted({spec.dataset for spec in missing}):
            _load_data(name, plan.data_dir)
        made = _make(missing, plan, devices)
    return Outcome([*damaged, *made.failures.values()], made.stopped)


def _look(specs: list[RunSpec], plan: Plan) -> tuple[list[RunSpec], list[str]]:
    """Return the runs without a record, and one line for each record that is damaged or of other images."""
    missing, damaged = [], []
    for spec in specs:
        try:
            record = plan.store.load(spec)
            if record is None:
                missing.append(spec)
            else:
                with contextlib.suppress(DataError):  # records are read where their images are not
                    check_images(record, functools.partial(_load_data, spec.dataset, plan.data_dir))
        except StoreError as error:
            damaged.append(str(error))
    return missing, damaged


def _make(missing: list[RunSpec], plan: Plan, devices: list[torch.device]) -> Progress:
    if plan.retry:
        for spec in missing:
            plan.store.forget_failure(spec)
    jobs = min(plan.jobs or len(devices), len(missing))
    alone = missing if jobs == 1 else [spec for spec in missing if spec.alone]
    scorings = missing_scorings(missing, plan.store)
    with Progress(missing, scorings, plan.lines) as progress, stopping.finish_epoch_on_signal(plan.grace):
        _walk(alone, replace(plan, jobs=1), progress.handle)
        together = [spec for spec in missing if spec not in alone]
        if together and not stopping.is_requested():
            run_workers(_walk, together, replace(plan, jobs=jobs), devices, progress)
        progress.stopped |= stopping.is_requested()
    return progress


def _walk(specs: list[RunSpec], plan: Plan, report: Callable[..., None]) -> None:
    """Train, one after the other, the runs that nobody has made or holds, and that have not failed in this sweep.

    Runs that wait for scores of another process, for the device to be theirs alone, or for a process of another machine
    that may have ended, are tried again when the others are done.
    """
    while specs:
        taken = []
        for spec in specs:
            try:
                with plan.store.claim(spec):
                    # another process may have made it since `_look`
                    if plan.store.load(spec) is None and plan.store.failure(spec) is None:
                        _make_until(spec, plan, report)
            except (RunLocked, DeviceBusy):
                taken.append(spec)
            except OutOfTime:
                report("stopped", None, None)
                return
            except StoreNotWritable as error:
                report("failed", spec, str(error))
                return  # no other run could be saved
            except Exception as error:  # whatever it is, the other runs do not depend on it
                message = f"{spec.name}: {_what_happened(error)}"
                report("failed", spec, message)
                with contextlib.suppress(StoreError):
                    plan.store.save_failure(spec, message)
                _free_memory()
        specs = taken if len(taken) < len(specs) or _is_one_free(taken, plan) else []


def _is_one_free(specs: list[RunSpec], plan: Plan) -> bool:
    scorings = [scoring_spec(spec) for spec in specs if spec.is_static_scored]
    paths = [plan.store.lease(spec) for spec in [*specs, *scorings]]
    return leases.wait_for_expiry(paths, stop=lambda: plan.ends_within(0))


def _make_until(spec: RunSpec, plan: Plan, report: Callable[..., None]) -> None:
    started = time.time()

    def on_epoch(spec: RunSpec, epoch: EpochRecord) -> None:
        nonlocal started
        report("epoch", spec, epoch)
        started, seconds = time.time(), time.time() - started
        if plan.ends_within(seconds):
            raise OutOfTime

    if plan.ends_within(0):
        raise OutOfTime
    report("begun", spec, None)
    record = make_run(spec, _load_data(spec.dataset, plan.data_dir), plan.store, on_epoch, plan.jobs or 1)
    report("finished", spec, record)


def _what_happened(error: Exception) -> str:
    """Return one line where that is enough for a user, else the traceback for whoever fixes the code."""
    if is_out_of_memory(error):
        reason = str(error).splitlines()[0] if str(error) else "out of memory"
        return f"{reason}: try fewer runs at a time (--jobs) or a smaller batch"
    if isinstance(error, DynpruneError):
        return str(error)
    return "".join(traceback.format_exception(error)).strip()


def _free_memory() -> None:
    gc.collect()  # the frames of the traceback held the model
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _load_data(name: str, data_dir: str | Path | None) -> TensorData:
    return _load_on(str(current_device()), name, data_dir)


@functools.lru_cache(maxsize=1)
def _load_on(device: str, name: str, data_dir: str | Path | None) -> TensorData:
    return load_dataset(name, data_dir, device)
