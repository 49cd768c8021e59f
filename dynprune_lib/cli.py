"""Command line: dynprune train | sweep | reproduce | render | docs | data."""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import yaml

from dynprune_lib import stopping
from dynprune_lib.distributed import rank, world_size
from dynprune_lib.errors import DynpruneError, SpecError, SweepError
from dynprune_lib.experiments.data import DATASETS, download, load_dataset
from dynprune_lib.experiments.ddp import make_run_together, process_group
from dynprune_lib.experiments.models import MODELS
from dynprune_lib.experiments.optimizers import OPTIMIZERS
from dynprune_lib.experiments.profile import PROFILES, load_profile
from dynprune_lib.experiments.runs import PRECISIONS, RunSpec
from dynprune_lib.experiments.schedules import SCHEDULES
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.paths import data_dir as resolved_data_dir
from dynprune_lib.paths import results_dir
from dynprune_lib.samplers import SAMPLERS
from dynprune_lib.scores import SCORES

app = typer.Typer(
    help="Dynamic data pruning: train a run, make the runs of a profile, reproduce the notebooks, check a data set.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _names(registry: Iterable[str], *more: str) -> str:
    """Return the help text of an option that takes a name of a registry."""
    return ", ".join([*registry, *more]) + "."


DATASET_NAMES = _names(DATASETS, "folder:PATH (images of any size, squashed to 32 x 32)")
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data sets. Default: DYNPRUNE_DATA or data/.")]
Results = Annotated[Path | None, typer.Option(help="Folder of the run records. Default: results/.")]
Jobs = Annotated[int, typer.Option(min=1, help="Runs at a time, each in its own process.")]


@contextlib.contextmanager
def _report_user_errors() -> Iterator[None]:
    """Report what a user did or can fix in one line, without a traceback."""
    try:
        yield
        sys.stdout and sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        _stop("interrupted; the same command resumes after the last complete epoch", stopping.exit_code(interrupt))
    except BrokenPipeError:  # the reader of the output has stopped reading
        _discard_output()
        sys.exit(1)
    except DynpruneError as error:
        _stop(str(error))
    except OSError as error:
        _discard_output()
        _stop(f"{error.filename or 'the output'} cannot be read or written: {error.strerror or error}")
    except ModuleNotFoundError as error:
        _stop(f"{error.name} is not installed: pip install -e '.[notebooks]' in the checkout")


def _stop(message: str, code: int = 1) -> NoReturn:
    typer.echo(f"dynprune: {message}", err=True)
    sys.exit(code)


def _discard_output() -> None:
    """Keep the interpreter from trying again, at its end, to write what cannot be written."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command()
@_report_user_errors()
def train(
    dataset: Annotated[str, typer.Option(help=DATASET_NAMES)] = "cifar10",
    model: Annotated[str, typer.Option(help=_names(MODELS))] = "small",
    sampler: Annotated[str, typer.Option(help=_names(SAMPLERS, "module:Class"))] = RunSpec.sampler,
    prune_rate: Annotated[float, typer.Option(help="Fraction of the samples skipped in every epoch.")] = 0.0,
    score: Annotated[str, typer.Option(help="Score that the sampler receives: " + _names(SCORES))] = RunSpec.score,
    rescore: Annotated[bool, typer.Option("--rescore", help="Re-score all samples before every selection.")] = False,
    setting: Annotated[list[str] | None, typer.Option("--set", help="Of the sampler: --set epsilon=0.2.")] = None,
    epochs: Annotated[int, typer.Option()] = RunSpec.epochs,
    batch_size: Annotated[int, typer.Option()] = RunSpec.batch_size,
    optimizer: Annotated[str, typer.Option(help=_names(OPTIMIZERS))] = RunSpec.optimizer,
    learning_rate: Annotated[float, typer.Option(help="Peak of the schedule.")] = RunSpec.learning_rate,
    schedule: Annotated[str, typer.Option(help=_names(SCHEDULES))] = RunSpec.schedule,
    precision: Annotated[str, typer.Option(help=_names(PRECISIONS))] = RunSpec.precision,
    seed: Annotated[int, typer.Option()] = RunSpec.seed,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Train one run, or resume it; its record is saved in RESULTS/train. A finished run is not trained again.

    Under torchrun, the processes share every batch.
    """
    spec = RunSpec(
        dataset=dataset,
        model=model,
        sampler=sampler,
        prune_rate=prune_rate,
        score=score,
        rescore=rescore,
        settings=_parse_settings(setting or []),
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        schedule=schedule,
        precision=precision,
        seed=seed,
    )
    store = Store(results_dir(results) / "train")
    with process_group():
        if world_size() > 1:
            make_run_together(spec, data_dir, store)
        else:
            sweep([spec], Plan(store, data_dir))
        if rank() > 0:
            return
    record = store.load(spec)
    if record is None:
        raise SweepError(f"{spec.name} is being trained by another process")
    typer.echo(f"{spec.name}: test accuracy {record.test_accuracy:.2%} after the last of {epochs} epochs")
    cost = record.training
    typer.echo(f"{cost.backward_passes:,} sample passes in {cost.seconds:.1f} s; record in {store.folder}")
    if spec.is_static_scored:
        cost = record.scoring
        typer.echo(f"scoring before training: {cost.backward_passes:,} passes and {cost.seconds:.1f} s")


@app.command(name="sweep")
@_report_user_errors()
def sweep_profile(
    profile: Annotated[str, typer.Argument(help=_names(PROFILES))],
    experiment: Annotated[str | None, typer.Option(help="Only the runs of this experiment.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed; may be repeated.")] = None,
    jobs: Jobs = 1,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop before this time is up, without loss.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs, train nothing.")] = False,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Train the missing runs of a profile; after an interruption, the same command resumes. Exit code 0: none is
    missing."""
    found = load_profile(profile)
    specs = found.runs(experiment, seed or None)
    store = Store(results_dir(results) / profile)
    if dry_run:
        for spec in specs:
            typer.echo(f"{'there  ' if store.has(spec) else 'missing'} {spec.name}")
    else:
        deadline = None if minutes is None else time.time() + 60 * minutes
        sweep(specs, Plan(store, data_dir, jobs, found.threads, deadline))
    there = sum(store.has(spec) for spec in specs)
    typer.echo(f"{there} of {len(specs)} runs of {profile} are in {store.folder}")
    if there < len(specs) and not dry_run:
        why = "another process trains them, or they wait for a device" if minutes is None else "the time is up"
        raise SweepError(f"{len(specs) - there} runs are missing ({why}): the same command resumes")


@app.command()
@_report_user_errors()
def reproduce(
    profile: Annotated[str, typer.Option(help=_names(PROFILES))] = "smoke",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="A notebook's parameter: -p seeds='[0]'.")
    ] = None,
    jobs: Jobs = 1,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Execute all notebooks on a profile, training missing runs; executed copies and HTML go to reproduced/."""
    from dynprune_lib.report.notebooks import reproduce_notebooks

    reproduce_notebooks(profile, _parse_settings(parameter or []), data_dir, results, jobs)


@app.command()
@_report_user_errors()
def render() -> None:
    """Execute all notebooks in place, as they are committed, and update the documents."""
    from dynprune_lib.report.notebooks import render_notebooks

    render_notebooks()


@app.command()
@_report_user_errors()
def docs() -> None:
    """Update README, gallery and sampler cards from records and verdicts, without executing a notebook."""
    from dynprune_lib.report.pages import update_pages

    update_pages()


@app.command()
@_report_user_errors()
def data(
    name: Annotated[str, typer.Argument(help=DATASET_NAMES)],
    fetch: Annotated[bool, typer.Option("--download", help="Download it first unless it is complete.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Check whether a data set is complete, and print its size or what to do."""
    if fetch:
        download(name, data_dir)
    found = load_dataset(name, data_dir)
    height, width, channels = found.train.images.shape[1:]
    size = sum(part.images.numel() for part in (found.train, found.test)) / 2**20
    place = "" if name == "digits" or name.startswith("folder:") else f" in {resolved_data_dir(data_dir)}"
    typer.echo(f"{name} is complete{place}")
    typer.echo(f"{len(found.train):,} training and {len(found.test):,} test images, {len(found.classes)} classes")
    typer.echo(f"{height} x {width} x {channels}, {size:.0f} MiB in memory, md5 of the tensors {found.md5}")


def _parse_settings(pairs: list[str]) -> dict[str, Any]:
    """`name=value` words to a dict; values are read as yaml, so numbers are numbers."""
    return dict(_parse_setting(pair) for pair in pairs)


def _parse_setting(pair: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise SpecError(f"{pair!r} is not a setting: write name=value")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SpecError(f"{pair!r} is not a setting: the value is not YAML ({' '.join(str(error).split())})") from error
