"""Sweeps as jobs of a cluster, submitted with submitit: Slurm assigns them, requeues them and shows what runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynprune_lib.errors import SpecError, SweepError
from dynprune_lib.experiments.runs import RunSpec, check_choice
from dynprune_lib.experiments.schedule import Task
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep

if TYPE_CHECKING:
    import submitit  # of the extra `cluster`: imported where it is used

CLUSTERS = ("slurm", "local", "debug")
MARGIN = 90  # seconds before the time limit at which a job is requeued, at most a tenth of the limit
REQUEUES = 10_000  # as good as no limit: a job ends when it has made its runs


@dataclass(frozen=True)
class Request:
    """What to ask of a cluster: "slurm"; "local", in the background of this machine; or "debug", in this process."""

    cluster: str
    minutes: float | None
    jobs: int = 1
    chunk: int = 10
    gpus: int = 1
    partition: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("cluster", self.cluster, CLUSTERS)
        if not self.minutes:
            raise SpecError("--cluster needs the time limit of each job, such as --minutes 240")


@dataclass(frozen=True)
class Chunk:
    """A job: it makes some runs; requeued, it goes on from their records and checkpoints."""

    specs: tuple[RunSpec, ...]
    plan: Plan

    def __call__(self) -> None:
        failures = {spec.name: message for spec in self.specs if (message := self.plan.store.failure(spec))}
        sweep([spec for spec in self.specs if spec.name not in failures], self.plan)
        if failures:  # from before the job was requeued; the next submission tries them again
            raise SweepError("\n".join(failures.values()))

    def checkpoint(self) -> "submitit.helpers.DelayedSubmission":
        """Return what submitit requeues."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def chunks(specs: Sequence[RunSpec], size: int) -> list[tuple[RunSpec, ...]]:
    """Share runs among jobs of a size, or larger ones: those that need the same scores are in one."""
    groups: dict[str, list[RunSpec]] = {}
    for spec in specs:
        groups.setdefault(Task(spec).scoring or spec.name, []).append(spec)
    made: list[list[RunSpec]] = [[]]
    for group in groups.values():
        if made[-1] and len(made[-1]) + len(group) > size:
            made.append([])
        made[-1] += group
    return [tuple(chunk) for chunk in made]


def submit(specs: list[RunSpec], plan: Plan, request: Request, name: str) -> "list[submitit.Job]":
    """Submit the runs that are not in the store, by a name in the queue; those that failed before are tried again."""
    missing = [spec for spec in specs if not plan.store.has(spec)]
    if not missing:
        return []
    size = request.chunk if request.cluster == "slurm" else math.ceil(len(missing) / request.jobs)
    try:
        executor = _executor(plan.store, request, name)
        for spec in missing:
            plan.store.forget_failure(spec)
        return executor.submit_array([Chunk(chunk, plan) for chunk in chunks(missing, size)])
    except RuntimeError as error:
        raise SweepError(f"--cluster {request.cluster}: {error}") from error


def logs_folder(store: Store) -> Path:
    """Return the folder of the jobs' logs."""
    return store.folder.resolve() / ".running" / "jobs"


def _executor(store: Store, request: Request, name: str) -> "submitit.AutoExecutor":
    import submitit

    minutes = request.minutes or 0
    limit = {} if request.cluster == "debug" else {f"{request.cluster}_max_num_timeout": REQUEUES}
    executor = submitit.AutoExecutor(logs_folder(store), cluster=request.cluster, **limit)
    options = {"partition": request.partition} if request.partition else {}
    options |= {"signal_delay_s": round(min(MARGIN, 6 * minutes)), "array_parallelism": request.jobs} | request.options
    try:
        executor.update_parameters(
            name=name,
            timeout_min=math.ceil(minutes),  # Slurm has whole minutes
            **({"gpus_per_node": request.gpus} if request.gpus else {}),
            **{f"slurm_{key}": value for key, value in options.items()},
        )
    except NameError as error:  # of submitit, for an option that no executor has
        raise SpecError(f"--slurm: {str(error).splitlines()[0]}") from error
    return executor
