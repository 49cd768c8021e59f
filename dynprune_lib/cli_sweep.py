"""The commands of a sweep: dynprune sweep | status."""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from dynprune_lib.cli_common import DataDir, Experiment, ProfileName, Results, Seeds, parse_settings
from dynprune_lib.errors import SpecError, SweepError
from dynprune_lib.experiments.cluster import Request, logs_folder, submit
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
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
Chunk = Annotated[int | None, typer.Option(min=1, help="Runs of each job on Slurm. Default: 10.")]
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
    chunk: Chunk = None,
    partition: Partition = None,
    gpus: Gpus = None,
    slurm: SlurmOptions = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs, train nothing.")] = False,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Train the missing runs of a profile; after an interruption, the same command resumes. Exit code 0: none is
    missing. With --cluster, jobs do it, and the command ends when they are submitted."""
    request = requested(cluster, jobs, minutes, chunk, partition, gpus, slurm)
    if request:
        refuse({"devices": devices}, "without")
    found = load_profile(profile)
    specs = found.runs(experiment, seed or None)
    deadline = None if minutes is None or request else time.time() + 60 * minutes
    plan = Plan(
        Store(results_dir(results).resolve() / profile),
        absolute(data_dir),
        None if request else jobs,
        found.threads,
        deadline,
        parse_devices(devices),
    )
    if dry_run:
        for spec in specs:
            typer.echo(f"{'there  ' if plan.store.has(spec) else 'missing'} {spec.name}")
    elif request:
        submit_jobs(specs, plan, request, profile, wait_for_them=cluster == "debug")
        return
    else:
        sweep(specs, plan)
    there = sum(plan.store.has(spec) for spec in specs)
    typer.echo(f"{there} of {len(specs)} runs of {profile} are in {plan.store.folder}")
    if there < len(specs) and not dry_run:
        why = "another process trains them, or they wait for a device" if minutes is None else "the time is up"
        raise SweepError(f"{len(specs) - there} runs are missing ({why}): the same command resumes")


def show_status(
    profile: ProfileName, experiment: Experiment = None, seed: Seeds = None, results: Results = None
) -> None:
    """Show which runs of a profile have no record, and why those that failed did. On a cluster, `squeue` shows the
    jobs."""
    store, count = Store(results_dir(results) / profile), Counter[str]()
    for spec in load_profile(profile).runs(experiment, seed or None):
        failure = None if store.has(spec) else store.failure(spec)
        state = "made" if store.has(spec) else "failed" if failure else "missing"
        count[state] += 1
        if state != "made":
            typer.echo(f"{state:8} {failure or spec.name}")
    typer.echo(f"{profile}: {count['made']} made, {count['failed']} failed, {count['missing']} missing")


def requested(
    cluster: str | None,
    jobs: int | None,
    minutes: float | None,
    chunk: int | None,
    partition: str | None,
    gpus: int | None,
    slurm: list[str] | None,
) -> Request | None:
    """Return the request to a cluster, None without --cluster; SpecError if an option has no effect."""
    if cluster is None:
        refuse({"chunk": chunk, "partition": partition, "gpus": gpus, "slurm": slurm}, "with")
        return None
    usual = Request(cluster, minutes)
    gpus = usual.gpus if gpus is None else gpus
    return Request(cluster, minutes, jobs or 1, chunk or usual.chunk, gpus, partition, parse_settings(slurm or []))


def absolute(folder: Path | None) -> Path | None:
    """Return a folder by a path that means the same in every job."""
    return folder and folder.expanduser().resolve()


def refuse(options: dict[str, Any], where: str) -> None:
    """Raise SpecError if an option is given that only works "with" or "without" --cluster."""
    for name, value in options.items():
        if value not in (None, []):  # of an option that is not given
            raise SpecError(f"--{name} only works {where} --cluster")


def submit_jobs(specs: list[RunSpec], plan: Plan, request: Request, profile: str, wait_for_them: bool) -> None:
    """Submit the jobs of a sweep, say where they are, and wait for their end on request."""
    jobs = submit(specs, plan, request, f"dynprune-{profile}")
    if not jobs:
        typer.echo(f"no run of {profile} is missing in {plan.store.folder}")
        return
    typer.echo(f"submitted {len(jobs)} jobs ({request.cluster}): {', '.join(each.job_id for each in jobs)}")
    typer.echo(f"their logs are in {logs_folder(plan.store)}; `dynprune status {profile}` shows which runs are missing")
    if wait_for_them:
        from submitit.helpers import as_completed

        for _ in as_completed(jobs):  # in debug, this is when they run
            pass


def parse_devices(given: str | None) -> tuple[int, ...] | None:
    """Return the GPUs that an option lists: "0,2" are (0, 2); None if it was not given."""
    if given is None:
        return None
    words = [word.strip() for word in given.split(",")]
    numbers = tuple(int(word) for word in words if word.isdecimal())
    if len(set(numbers)) < len(words):
        raise SpecError(f"devices is {given!r}: list numbers of GPUs, each once, as in --devices 0,1")
    return numbers
