"""The commands of a sweep: dynprune sweep | status."""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from dynprune_lib.cli_common import DataDir, Experiment, ProfileName, Results, Seeds, parse_settings
from dynprune_lib.errors import SpecError, SweepError
from dynprune_lib.experiments.cluster import Request, SweepJob, logs_folder, submit, wait
from dynprune_lib.experiments.plan import Plan
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.status import STATES, queued_jobs, status_of
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import sweep
from dynprune_lib.paths import results_dir

Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Runs at a time, each in its own process. Default: one per GPU. With --cluster: jobs."),
]
Minutes = Annotated[
    float | None, typer.Option(min=0, help="Stop before this time is up, without loss. With --cluster: of each job.")
]
Devices = Annotated[str | None, typer.Option(help="GPUs to use, such as 0,1. Default: all that are visible.")]
Cluster = Annotated[str | None, typer.Option(help="Submit jobs instead: slurm, local or debug.")]
Partition = Annotated[str | None, typer.Option(help="Partition of Slurm.")]
Gpus = Annotated[int | None, typer.Option(min=0, help="GPUs of each job of the cluster. Default: 1.")]
SlurmOptions = Annotated[
    list[str] | None, typer.Option("--slurm", help="Another option of Slurm: --slurm account=abc; may be repeated.")
]


def sweep_profile(
    profile: ProfileName,
    experiment: Experiment = None,
    seed: Seeds = None,
    jobs: Jobs = None,
    devices: Devices = None,
    minutes: Minutes = None,
    cluster: Cluster = None,
    partition: Partition = None,
    gpus: Gpus = None,
    slurm: SlurmOptions = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs, train nothing.")] = False,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Train the missing runs of a profile; after an interruption, the same command resumes. Exit code 0: none is
    missing. With --cluster, jobs do it, and the command ends when they are submitted."""
    check_used(cluster, {"partition": partition, "gpus": gpus, "slurm": slurm}, {"devices": devices})
    found = load_profile(profile)
    specs = found.runs(experiment, seed or None)
    store = Store(results_dir(results) / profile)
    if dry_run:
        for spec in specs:
            typer.echo(f"{'there  ' if store.has(spec) else 'missing'} {spec.name}")
    elif cluster:
        request = requested(cluster, jobs, partition, gpus, slurm)
        job = sweep_job(profile, minutes, experiment, seed, data_dir, results)
        submit_jobs(job, request, wait_for_them=cluster == "debug")
        return
    else:
        deadline = None if minutes is None else time.time() + 60 * minutes
        sweep(specs, Plan(store, data_dir, jobs, found.threads, deadline, parse_devices(devices)))
    there = sum(store.has(spec) for spec in specs)
    typer.echo(f"{there} of {len(specs)} runs of {profile} are in {store.folder}")
    if there < len(specs) and not dry_run:
        why = "another process trains them, or they wait for a device" if minutes is None else "the time is up"
        raise SweepError(f"{len(specs) - there} runs are missing ({why}): the same command resumes")


def show_status(
    profile: ProfileName,
    experiment: Experiment = None,
    seed: Seeds = None,
    results: Results = None,
) -> None:
    """Show which runs of a profile are missing, running (where, since when, which epoch) or failed (why), and its jobs
    in the queue of Slurm."""
    specs = load_profile(profile).runs(experiment, seed or None)
    store = Store(results_dir(results) / profile)
    statuses = [status_of(spec, store) for spec in specs]
    for status in sorted(statuses, key=lambda each: STATES.index(each.state)):
        if status.state != "made":
            typer.echo(str(status))
    for line in queued_jobs(profile):
        typer.echo(line)
    counts = Counter(status.state for status in statuses)
    typer.echo(f"{profile}: " + ", ".join(f"{counts[state]} {state}" for state in STATES))


def check_used(cluster: str | None, of_jobs: dict[str, Any], of_this_machine: dict[str, Any]) -> None:
    """Refuse options that would have no effect.

    Args:
        cluster: the option --cluster.
        of_jobs: values, by name, of the options that only jobs have.
        of_this_machine: of those that only runs on this machine have. Not given: None or an empty list.

    Raises:
        SpecError: one of the others is given.
    """
    for name, value in (of_this_machine if cluster else of_jobs).items():
        if value not in (None, []):
            remedy = "jobs do not use it: leave it out" if cluster else "it is for jobs: leave it out, or add --cluster"
            raise SpecError(f"{name} is {value}: {remedy}")


def requested(
    cluster: str, jobs: int | None, partition: str | None, gpus: int | None, slurm: list[str] | None
) -> Request:
    """Return what is asked of a cluster, by the options of a command.

    Raises:
        SpecError: there is no such kind of cluster, or an option of Slurm has no value.
    """
    return Request(cluster, jobs or 1, partition, 1 if gpus is None else gpus, parse_settings(slurm or []))


def sweep_job(
    profile: str,
    minutes: float | None,
    experiment: str | None = None,
    seeds: list[int] | None = None,
    data_dir: Path | None = None,
    results: Path | None = None,
) -> SweepJob:
    """Return what the jobs of a cluster do, by the options of a command.

    Raises:
        SpecError: there is no time limit, or no such experiment.
    """
    if not minutes:
        raise SpecError(f"minutes is {minutes}: --cluster needs the time limit of each job, as in --minutes 240")
    data_dir, results = (folder and folder.expanduser().resolve() for folder in (data_dir, results))
    return SweepJob(profile, minutes, experiment, tuple(seeds) if seeds else None, data_dir, results)


def submit_jobs(job: SweepJob, request: Request, wait_for_them: bool) -> None:
    """Submit the jobs of a sweep, say where they are, and wait for their end if asked to."""
    jobs = submit(job, request)
    if not jobs:
        typer.echo(f"no run of {job.profile} is missing in {job.store.folder}")
        return
    typer.echo(f"submitted {len(jobs)} jobs ({request.cluster}): {', '.join(each.job_id for each in jobs)}")
    typer.echo(f"their logs are in {logs_folder(job.store)}; `dynprune status {job.profile}` shows the runs")
    if wait_for_them:
        wait(jobs)


def parse_devices(given: str | None) -> tuple[int, ...] | None:
    """Return the numbers of GPUs that an option lists; None if it was not given.

    Raises:
        SpecError: it is no list of numbers.

    Example:
        >>> parse_devices("0,2")
        (0, 2)
    """
    if given is None:
        return None
    words = [word.strip() for word in given.split(",")]
    numbers = tuple(int(word) for word in words if word.isdecimal())
    if len(set(numbers)) < len(words):
        raise SpecError(f"devices is {given!r}: list numbers of GPUs, each once, as in --devices 0,1")
    return numbers
