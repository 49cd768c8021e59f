"""The command line: dynprune train | sweep | reproduce | data."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from dynprune_lib.data import download, load_dataset
from dynprune_lib.errors import DynpruneError, SweepError
from dynprune_lib.parallel import process_group, train_together
from dynprune_lib.paths import data_dir as resolved_data_dir
from dynprune_lib.paths import results_dir
from dynprune_lib.profile import PROFILES, load_profile
from dynprune_lib.runs import RunSpec
from dynprune_lib.samplers import SAMPLERS
from dynprune_lib.samplers.distributed import rank, world_size
from dynprune_lib.scores import SCORES
from dynprune_lib.store import Store
from dynprune_lib.sweep import Plan, sweep

app = typer.Typer(
    help="Dynamic data pruning: train a run, make a profile's runs, reproduce the notebooks, look at a data set.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataDir = Annotated[Path | None, typer.Option(help="Folder of the data sets. Default: DYNPRUNE_DATA or data/.")]
Results = Annotated[Path | None, typer.Option(help="Folder of the run records. Default: results/.")]
Jobs = Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process of its own.")]


@contextlib.contextmanager
def _told_plainly() -> Iterator[None]:
    """What a user did or can mend is told in a line, without a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("dynprune: interrupted; the same command goes on after the last whole epoch", err=True)
        sys.exit(130)
    except (ValueError, DynpruneError) as error:
        typer.echo(f"dynprune: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        typer.echo(f"dynprune: {error.name} is not installed: pip install -e '.[notebooks]' in the checkout", err=True)
        sys.exit(1)


@app.command()
@_told_plainly()
def train(
    dataset: Annotated[str, typer.Option(help="digits, cifar10, cifar100, fashion_mnist or folder:PATH.")] = "cifar10",
    model: Annotated[str, typer.Option(help="small, resnet18 or tiny (for digits).")] = "small",
    sampler: Annotated[str, typer.Option(help=", ".join(SAMPLERS) + ".")] = "full",
    prune_rate: Annotated[float, typer.Option(help="Fraction of the samples left out of every epoch.")] = 0.0,
    score: Annotated[str, typer.Option(help="What it is told of a sample: " + ", ".join(SCORES) + ".")] = RunSpec.score,
    rescore: Annotated[bool, typer.Option("--rescore", help="Score all samples before every selection.")] = False,
    setting: Annotated[list[str] | None, typer.Option("--set", help="A sampler's setting: --set epsilon=0.2.")] = None,
    epochs: Annotated[int, typer.Option()] = RunSpec.epochs,
    batch_size: Annotated[int, typer.Option()] = RunSpec.batch_size,
    learning_rate: Annotated[float, typer.Option(help="The peak of the schedule.")] = RunSpec.learning_rate,
    schedule: Annotated[str, typer.Option(help="one-cycle or cosine.")] = RunSpec.schedule,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = RunSpec.precision,
    seed: Annotated[int, typer.Option()] = 0,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Train one run, or go on with it; its record goes to RESULTS/train. A run that is there is not made again.
    Started by torchrun, its processes share every batch."""
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
        learning_rate=learning_rate,
        schedule=schedule,
        precision=precision,
        seed=seed,
    )
    store = Store(results_dir(results) / "train")
    with process_group():
        if world_size() > 1:
            train_together(spec, data_dir, store)
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
        typer.echo(f"scoring the samples before had cost {cost.backward_passes:,} passes and {cost.seconds:.1f} s")


@app.command(name="sweep")
@_told_plainly()
def sweep_profile(
    profile: Annotated[str, typer.Argument(help=", ".join(PROFILES) + ".")],
    figure: Annotated[str | None, typer.Option(help="Only the runs of this figure.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed; may be given several times.")] = None,
    jobs: Jobs = 1,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop before this time is up; nothing is lost.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs, train nothing.")] = False,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Make the runs of a profile that are missing; interrupted, it goes on where it was."""
    found = load_profile(profile)
    specs = found.runs(figure, seed or None)
    store = Store(results_dir(results) / profile)
    if dry_run:
        for spec in specs:
            typer.echo(f"{'there  ' if store.load(spec) else 'missing'} {spec.name}")
    else:
        deadline = None if minutes is None else time.time() + 60 * minutes
        sweep(specs, Plan(store, data_dir, jobs, found.threads, deadline))
    there = sum(store.load(spec) is not None for spec in specs)
    typer.echo(f"{there} of {len(specs)} runs of {profile} are in {store.folder}")
    if there < len(specs) and minutes is None and not dry_run:
        typer.echo("the others are made by another process, or wait for the device that it uses: try again later")


@app.command()
@_told_plainly()
def reproduce(
    profile: Annotated[str, typer.Option(help=", ".join(PROFILES) + ".")] = "smoke",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="A notebook's parameter: -p seeds='[0]'.")
    ] = None,
    jobs: Jobs = 1,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Run every notebook on a profile, training what is missing; executed copies and HTML go to reproduced/."""
    from dynprune_lib.reproduce import reproduce_notebooks

    found = load_profile(profile)
    if jobs > 1:
        sweep(found.runs(), Plan(Store(results_dir(results) / profile), data_dir, jobs, found.threads))
    reproduce_notebooks(profile, _parse_settings(parameter or []), data_dir, results)


@app.command()
@_told_plainly()
def render() -> None:
    """Run every notebook in place on its own parameters, as it is to be committed."""
    from dynprune_lib.reproduce import render_notebooks

    render_notebooks()


@app.command()
@_told_plainly()
def data(
    name: Annotated[str, typer.Argument(help="digits, cifar10, cifar100, fashion_mnist or folder:PATH.")],
    fetch: Annotated[bool, typer.Option("--download", help="Download it first where it is not whole.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Say whether a data set is there and whole, how large it is, and what to do if not."""
    if fetch:
        download(name, data_dir)
    found = load_dataset(name, data_dir)
    height, width, channels = found.train.images.shape[1:]
    size = sum(part.images.numel() for part in (found.train, found.test)) / 2**20
    place = "" if name == "digits" or name.startswith("folder:") else f" in {resolved_data_dir(data_dir)}"
    typer.echo(f"{name} is there and whole{place}")
    typer.echo(f"{len(found.train):,} training and {len(found.test):,} test images, {len(found.classes)} classes")
    typer.echo(f"{height} x {width} x {channels}, {size:.0f} MiB in memory, md5 of the tensors {found.md5}")


def _parse_settings(pairs: list[str]) -> dict[str, Any]:
    """`name=value` words to a dict; values are read as yaml, so numbers are numbers."""
    for pair in pairs:
        if "=" not in pair:
            raise ValueError(f"{pair!r} is no setting: write name=value")
    return {name: yaml.safe_load(value) for name, value in (pair.split("=", 1) for pair in pairs)}
