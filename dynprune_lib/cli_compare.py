"""The command dynprune compare."""

import re
from typing import Annotated

import typer

from dynprune_lib.cli_common import DataDir, Results, names, parse_settings
from dynprune_lib.cli_sweep import (
    Chunk,
    Cluster,
    Devices,
    Gpus,
    Jobs,
    Minutes,
    Partition,
    SlurmOptions,
    absolute,
    parse_devices,
    refuse,
    requested,
    submit_jobs,
)
from dynprune_lib.experiments.profile import PROFILES, load_profile
from dynprune_lib.experiments.sweep import Plan, available_devices, sweep
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import root


def compare_sampler(
    sampler: Annotated[str, typer.Argument(help="Your sampler, module:Class, or the name of one of ours.")],
    profile: Annotated[str, typer.Option(help=names(PROFILES))] = "laptop",
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    label_noise: Annotated[float, typer.Option(help="Share of wrong training labels.")] = 0.0,
    setting: Annotated[list[str] | None, typer.Option("--set", help="A setting of the sampler: --set c=2.")] = None,
    jobs: Jobs = None,
    devices: Devices = None,
    minutes: Minutes = None,
    cluster: Cluster = None,
    chunk: Chunk = None,
    partition: Partition = None,
    gpus: Gpus = None,
    slurm: SlurmOptions = None,
    data_dir: DataDir = None,
    results: Results = None,
) -> None:
    """Compare a sampler with full data in fewer epochs, RS2 and annealed UCB at equal compute.

    Missing runs are trained and kept in RESULTS/compare; after an interruption, the same command resumes. The table,
    the figure and a Markdown row go to reproduced/compare.
    """
    from dynprune_lib.report import compare  # with pandas and Matplotlib, which take seconds
    from dynprune_lib.report.study import png

    request = requested(cluster, jobs, minutes, chunk, partition, gpus, slurm)
    if not request:
        refuse({"minutes": minutes}, "with")
    comparison = compare.plan_comparison(
        sampler,
        profile,
        results=results,
        settings=parse_settings(setting or []),
        seeds=seeds,
        label_noise=label_noise,
    )
    gpus_here = parse_devices(devices)
    device = available_devices(gpus_here)[0]
    there, module = sum(comparison.made.has(spec) for spec in comparison.own), sampler.rpartition(":")[0]
    if there and module:
        typer.echo(
            f"{there} of the {len(comparison.own)} runs of {sampler} are in {comparison.made.folder}: if the class has"
            " changed since, give it another name, or remove them"
        )
    if specs := comparison.to_train(device):
        typer.echo(f"{comparison.title} keeps the contract; {len(specs)} runs to train, for {comparison.made.folder}")
        plan = Plan(comparison.made, absolute(data_dir), jobs, load_profile(profile).threads, devices=gpus_here)
        if request:
            submit_jobs(specs, plan, request, "compare", wait_for_them=True)
        else:
            sweep(specs, plan)
    table = compare.differences_from_rivals(comparison)
    name = re.sub(r"[^\w.]+", "-", f"{module} {comparison.title} {profile}".strip())
    folder = root() / "reproduced" / "compare"
    figure, row = compare.plot_comparison(comparison, table), compare.markdown_row(comparison, table, profile)
    atomic_write(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g").encode())
    atomic_write(folder / f"{name}.png", png(figure))
    atomic_write(folder / f"{name}.md", row.encode())
    typer.echo(compare.describe(comparison, table, device))
    typer.echo(f"\n{row}\nThis row, the table and its figure are in {folder}")
