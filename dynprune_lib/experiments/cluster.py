"""Sweeps as jobs of a cluster, submitted with submitit.

Every job walks the same list of missing runs, as a process of a sweep on one machine does. It stops before its time
limit, or when it is pre-empted, and is requeued while runs are missing. submitit requeues it, on the signal SIGUSR2,
which the job sends to itself for that.
"""

import math
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynprune_lib.errors import SpecError, SweepError
from dynprune_lib.experiments.plan import Plan
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.runs import RunSpec, check_choice
from dynprune_lib.experiments.status import job_name
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Outcome, make_missing
from dynprune_lib.paths import results_dir
from dynprune_lib.stopping import Terminated

if TYPE_CHECKING:
    import submitit  # of the extra `cluster`: imported where it is used

CLUSTERS = ("slurm", "local", "debug")
MARGIN = 90  # seconds before the time limit at which a job stops, at most a tenth of the limit; Slurm signals then too
GRACE = 20.0  # seconds that an epoch has to end after a signal; Slurm kills 30 s after SIGTERM, unless told otherwise
POLL = 10  # seconds between two looks at jobs that are waited for
REQUEUES = 10_000  # as good as no limit: a job ends when no run is missing


@dataclass(frozen=True)
class SweepJob:
    """What a job does: make the missing runs of a profile until its time is up, and ask to be requeued.

    A run that has failed is left to the next submission, so that no job is requeued for it again and again.

    Args:
        profile: name of the profile.
        minutes: time limit of the job.
        experiment: Default: None, all of them.
        seeds: Default: None, those of the profile.
        data_dir: folder of the data sets. Default: see `load_dataset`.
        results: folder of the records. Default: `results` in the checkout.

    Raises:
        SweepError: runs failed; raised when nothing else is left to do.
    """

    profile: str
    minutes: float
    experiment: str | None = None
    seeds: tuple[int, ...] | None = None
    data_dir: Path | None = None
    results: Path | None = None

    @property
    def store(self) -> Store:
        """The store of the profile."""
        return Store(results_dir(self.results) / self.profile)

    @property
    def specs(self) -> list[RunSpec]:
        """All runs of the job."""
        return load_profile(self.profile).runs(self.experiment, self.seeds)

    @property
    def margin(self) -> int:
        """Seconds before the time limit at which the job stops."""
        return round(min(MARGIN, 6 * self.minutes))

    def is_missing(self, spec: RunSpec) -> bool:
        """Return whether the run has neither been made nor failed."""
        return not self.store.has(spec) and self.store.failure(spec) is None

    def checkpoint(self, number: int) -> "submitit.helpers.DelayedSubmission":
        """Return what submitit requeues: the same again, since the store has all that was done."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, number)

    def __call__(self, _: int) -> None:
        deadline = time.time() + 60 * self.minutes - self.margin
        threads = load_profile(self.profile).threads
        plan = Plan(self.store, self.data_dir, threads=threads, deadline=deadline, grace=GRACE, retry=False)
        try:
            outcome = make_missing(self.specs, plan)
        except Terminated:  # the epoch took too long to wait for its end
            outcome = Outcome([], stopped=True)
        if outcome.stopped and any(map(self.is_missing, self.specs)):
            _requeue()
        if outcome.failures:
            raise SweepError("\n".join(outcome.failures))


@dataclass(frozen=True)
class Request:
    """What is asked of a cluster.

    Args:
        cluster: "slurm"; "local", in the background of this machine; or "debug", one after the other in this process.
        jobs: number of jobs. Default: 1.
        partition: of Slurm. Default: None, that of the cluster.
        gpus: GPUs of each job, with one run at a time on each. Default: 1.
        options: of Slurm by name, as submitit names them, such as account, qos, mem or cpus_per_task. Default: none.

    Raises:
        SpecError: there is no such kind of cluster.

    Example:
        >>> Request("slurm", jobs=16, partition="gpu", options={"account": "abc"}).gpus
        1
    """

    cluster: str
    jobs: int = 1
    partition: str | None = None
    gpus: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("cluster", self.cluster, CLUSTERS)


def submit(job: SweepJob, request: Request) -> "list[submitit.Job]":
    """Submit the jobs of a sweep; runs that failed before are tried again.

    Args:
        job: what each of them does.
        request: how many, and where.

    Returns:
        The jobs of submitit; none if no run is missing.

    Raises:
        SpecError: Slurm has no such option.
        SweepError: there is no Slurm on this machine, or it refuses the jobs.
    """
    specs = [spec for spec in job.specs if not job.store.has(spec)]
    if not specs:
        return []
    try:
        executor = _executor(job, request)
        for spec in specs:
            job.store.forget_failure(spec)
        return executor.map_array(job, range(request.jobs))
    except RuntimeError as error:
        raise SweepError(f"--cluster {request.cluster}: {error}") from error


def logs_folder(store: Store) -> Path:
    """Return the folder of the jobs' logs."""
    return store.folder.resolve() / ".running" / "jobs"


def wait(jobs: "list[submitit.Job]") -> None:
    """Wait until all jobs have ended. In debug, this is when they run."""
    from submitit.helpers import as_completed

    for _ in as_completed(jobs, poll_frequency=POLL):
        pass


def _executor(job: SweepJob, request: Request) -> "submitit.AutoExecutor":
    import submitit

    name = f"{request.cluster}_max_num_timeout"
    limit = {} if request.cluster == "debug" else {name: REQUEUES}
    executor = submitit.AutoExecutor(logs_folder(job.store), cluster=request.cluster, **limit)
    options = {"partition": request.partition} if request.partition else {}
    options |= {"signal_delay_s": job.margin, "array_parallelism": request.jobs} | request.options
    gpus = {"gpus_per_node": request.gpus} if request.gpus else {}
    try:
        executor.update_parameters(
            name=job_name(job.profile),
            timeout_min=math.ceil(job.minutes),  # never less than the job counts on
            **gpus,
            **{f"slurm_{name}": value for name, value in options.items()},
        )
    except NameError as error:  # of submitit, for an option that no executor has
        raise SpecError(f"--slurm: {str(error).splitlines()[0]}") from error
    return executor


def _requeue() -> None:
    """Have submitit requeue this job, which ends the process; do nothing where it has no such handler, as in debug."""
    if callable(signal.getsignal(signal.SIGUSR2)):
        signal.raise_signal(signal.SIGUSR2)
