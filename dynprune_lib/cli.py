"""Command line: dynprune train | compare | sweep | status | reproduce | render | docs | data."""

from dataclasses import fields
from typing import Annotated

import typer

from dynprune_lib.cli_common import DATASET_NAMES, DataDir, Results, names, parse_settings, report_user_errors
from dynprune_lib.cli_compare import compare_sampler
from dynprune_lib.cli_sweep import (
    Chunk,
    Cluster,
    Gpus,
    Partition,
    SlurmOptions,
    absolute,
    refuse,
    requested,
    show_status,
    submit_jobs,
    sweep_profile,
)
from dynprune_lib.errors import SpecError, SweepError
from dynprune_lib.experiments.data import DATASETS, ImageData, download, load_dataset
from dynprune_lib.experiments.models import MODELS
from dynprune_lib.experiments.optimizers import OPTIMIZERS, SCHEDULES
from dynprune_lib.experiments.profile import PROFILES, load_profile
from dynprune_lib.experiments.runs import PRECISIONS, RunSpec, check_choice
from dynprune_lib.experiments.sizes import SIZES
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.paths import data_dir as resolved_data_dir
from dynprune_lib.paths import results_dir
from dynprune_lib.samplers import SAMPLERS
from dynprune_lib.scores import SCORES

app = typer.Typer(
    help="Dynamic data pruning: train a run, compare a method, make the runs of a profile, reproduce the notebooks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
@report_user_errors()
def train(
    profile: Annotated[str | None, typer.Option(help="Take the recipe of a profile: " + names(PROFILES))] = None,
    dataset: Annotated[str | None, typer.Option(help=DATASET_NAMES + " Default: cifar10.")] = None,
    model: Annotated[str | None, typer.Option(help=names(MODELS) + " Default: small.")] = None,
    sampler: Annotated[str, typer.Option(help=names(SAMPLERS, "module:Class"))] = RunSpec.sampler,
    prune_rate: Annotated[float, typer.Option(help="Fraction of the samples skipped in every epoch.")] = 0.0,
    score: Annotated[str | None, typer.Option(help="Score that the sampler receives: " + names(SCORES))] = None,
    rescore: Annotated[bool, typer.Option("--rescore", help="Re-score all samples before every selection.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples per step.")] = None,
    optimizer: Annotated[str | None, typer.Option(help=names(OPTIMIZERS))] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the schedule.")] = None,
    schedule: Annotated[str | None, typer.Option(help=names(SCHEDULES))] = None,
    precision: Annotated[str | None, typer.Option(help=names(PRECISIONS))] = None,
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = RunSpec.seed,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other field of the run, or setting of the sampler: --set epsilon=0.2."),
    ] = None,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Train one run, or resume it; its record is saved in RESULTS/train. A finished run is not trained again."""
    own = {each.name for each in fields(RunSpec)} - {"settings"}
    given = {name: value for name, value in locals().items() if name in own and value is not None}
    recipe = {"dataset": "cifar10", "model": "small"}
    if profile is not None:
        check_choice("profile", profile, PROFILES)
        recipe = SIZES[profile].recipe
    others = parse_settings(setting or [])
    changed = given | {name: value for name, value in others.items() if name in own}
    settings = {name: value for name, value in others.items() if name not in own}
    spec = RunSpec.from_dict(recipe | changed | {"settings": settings})
    store = Store(results_dir(results) / "train")
    sweep([spec], Plan(store, data_dir, jobs=1))
    record = store.load(spec)
    if record is None:
        raise SweepError(f"another process is training {spec.name}: wait for its end")
    typer.echo(f"{spec.name}: test accuracy {record.test_accuracy:.2%} after the last of {spec.epochs} epochs")
    cost = record.training
    typer.echo(f"{cost.backward_passes:,} sample passes in {cost.seconds:.1f} s; record in {store.folder}")
    if spec.is_static_scored:
        cost = record.scoring
        typer.echo(f"scoring before training: {cost.backward_passes:,} passes and {cost.seconds:.1f} s")


Only = Annotated[list[str] | None, typer.Option("--only", help="Only this notebook: --only 03; may be repeated.")]
Start = Annotated[str | None, typer.Option("--from", help="Only this notebook and those after it: --from 05.")]

app.command(name="compare")(report_user_errors()(compare_sampler))
app.command(name="sweep")(report_user_errors()(sweep_profile))
app.command(name="status")(report_user_errors()(show_status))


@app.command()
@report_user_errors()
def reproduce(
    profile: Annotated[str, typer.Option(help=names(PROFILES))] = "smoke",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="A notebook's parameter: -p seeds='[0]'.")
    ] = None,
    only: Only = None,
    start: Start = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, each in its own process; or jobs.")] = 1,
    minutes: Annotated[float | None, typer.Option(min=0, help="With --cluster: time limit of each job.")] = None,
    cluster: Cluster = None,
    chunk: Chunk = None,
    partition: Partition = None,
    gpus: Gpus = None,
    slurm: SlurmOptions = None,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Execute the notebooks on a profile; executed copies and HTML go to reproduced/. Missing runs are trained first on
    smoke, elsewhere with -p train=true.

    With --cluster, jobs train the missing runs of all notebooks, and the notebooks are executed here when they ended.
    """
    from dynprune_lib.report.notebooks import check_parameters, choose_notebooks, reproduce_notebooks

    request = requested(cluster, jobs, minutes, chunk, partition, gpus, slurm)
    if not request:
        refuse({"minutes": minutes}, "with")
    parameters = parse_settings(parameter or [])
    if request:
        check_parameters(parameters)  # and the notebooks: an error after hours of jobs would be late
        choose_notebooks(only or (), start)
        if unused := set(parameters) - {"seeds"}:
            names = ", ".join(sorted(unused))
            raise SpecError(
                f"--cluster does not use the parameter {names}: use --data-dir or --results, or drop --cluster"
            )
        found = load_profile(profile)
        plan = Plan(Store(results_dir(results).resolve() / found.name), absolute(data_dir), threads=found.threads)
        submit_jobs(found.runs(seeds=parameters.get("seeds")), plan, request, profile, wait_for_them=True)
        jobs = 1
    reproduce_notebooks(profile, parameters, data_dir, results, jobs, only or (), start)


@app.command()
@report_user_errors()
def render(only: Only = None, start: Start = None) -> None:
    """Execute the notebooks in place, as they are committed, and update the documents."""
    from dynprune_lib.report.notebooks import render_notebooks

    render_notebooks(only or (), start)


@app.command()
@report_user_errors()
def docs() -> None:
    """Update the tables of the pages from claims.yaml and the records, without executing a notebook."""
    from dynprune_lib.report.pages import update_pages

    update_pages()


@app.command()
@report_user_errors()
def data(
    name: Annotated[str, typer.Argument(help=DATASET_NAMES)],
    fetch: Annotated[bool, typer.Option("--download", help="Download it first unless it is complete.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Check whether a data set is complete, and print its size or what to do."""
    if fetch:
        download(name, data_dir)
    found = load_dataset(name, data_dir)
    size = sum(part.inputs.nbytes for part in (found.train, found.test)) / 2**20
    is_downloaded = name in DATASETS and DATASETS[name].files
    typer.echo(f"{name} is complete" + (f" in {resolved_data_dir(data_dir)}" if is_downloaded else ""))
    kind = "images" if isinstance(found, ImageData) else "samples"
    task = f"{len(found.classes)} classes" if found.classes else "a regression"
    typer.echo(f"{len(found.train):,} training and {len(found.test):,} test {kind}, {task}")
    shape = " x ".join(map(str, found.train.inputs.shape[1:]))
    typer.echo(f"{shape}, {size:.0f} MiB in memory, md5 of the tensors {found.md5}")
