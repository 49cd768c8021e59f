"""Simulate a profile on several GPUs: its list of runs, in order, each on the GPU that is free first.

A run takes as long as its sample passes. The first run that needs a scoring takes its passes as well. Evaluation and
start-up are left out.
"""

import heapq
from collections.abc import Iterable, Sequence

import pandas as pd
import torch

from dynprune_lib.experiments.corruption import class_shares
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.static_scores import METHODS, scoring_spec
from dynprune_lib.report.timing import epoch_seconds

IMAGES = {"digits": 1_437, "fashion_mnist": 60_000}  # others: 50,000
CLASSES = 10  # of the data sets that experiments make imbalanced
GPUS = (1, 2, 4, 8, 16, 32, 64, 128)


def run_passes(specs: Iterable[RunSpec]) -> pd.DataFrame:
    """Return the cost of each run of images.

    Args:
        specs: runs in the order in which they are made. Those of texts and tables take seconds, and are left out.

    Returns:
        Columns `dataset`, `model` and `passes`, the samples that the run trains on, and that the models of its scoring
        train on if it is the first that needs them; in passes over 50,000 samples. Where the losses determine the
        length of an epoch, it counts with its greatest length.
    """
    scored: set[str] = set()
    rows = []
    for spec in specs:
        if spec.model in ("mlp", "bag"):
            continue
        all_images = IMAGES.get(spec.dataset, 50_000) - spec.validation
        images = round(all_images * class_shares(spec.imbalance, CLASSES).mean().item())
        passes = _samples(spec, spec.epochs, images)
        if spec.is_static_scored and (scoring := scoring_spec(spec)).name not in scored:
            scored.add(scoring.name)
            method = METHODS[scoring.sampler](scoring, images)
            passes += method.models * _samples(method.run, method.epochs, images)
        rows.append((spec.dataset, spec.model, passes / 50_000))
    return pd.DataFrame(rows, columns=["dataset", "model", "passes"])


def _samples(spec: RunSpec, epochs: int, images: int) -> int:
    """Return how many samples the first epochs of a run have, warm-up and annealing included."""
    zeros = torch.zeros(images)
    sampler = spec.make_sampler(images, zeros, zeros.long())
    return sum(map(sampler.greatest_length, range(epochs)))


def last_end(lengths: Sequence[float], gpus: int) -> float:
    """Return when the last run ends, if each begins on the GPU that is free first.

    Example:
        >>> last_end([1.0, 1.0, 4.0], gpus=2)  # the third waits for the first
        5.0
    """
    free = [0.0] * gpus
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def images_per_second(record: RunRecord) -> float:
    """Return how many images a second a timed run trained on: in an epoch of its median time, without the first."""
    return record.epochs[-1].backward_passes / epoch_seconds([record]).item()


def totals(runs: pd.DataFrame, images_per_second: float) -> pd.DataFrame:
    """Return the runs, passes and GPU-hours of each data set and net of a table of `run_passes`, as text.

    Args:
        runs: a table of `run_passes`.
        images_per_second: on which a GPU trains, whatever the net.
    """
    groups = runs.groupby(["dataset", "model"], sort=False)["passes"].agg(["count", "sum"]).reset_index()
    groups["hours"] = hours(groups["sum"], images_per_second)
    groups.columns = pd.Index(["data set", "net", "runs", "passes", "GPU-hours"])
    return groups.assign(**{name: groups[name].map("{:,.0f}".format) for name in ("runs", "passes", "GPU-hours")})


def hours(passes: pd.Series, images_per_second: float) -> pd.Series:
    """Return the hours of some passes over 50,000 images."""
    return passes * 50_000 / images_per_second / 3_600


def simulate(lengths: Sequence[float], unit: str, gpus: Sequence[int] = GPUS) -> pd.DataFrame:
    """Return when the last run ends and how busy the GPUs are, for several numbers of GPUs, as text."""
    ends = {number: last_end(lengths, number) for number in gpus}
    rows = [(str(number), _rounded(end), f"{sum(lengths) / number / end:.0%}") for number, end in ends.items()]
    return pd.DataFrame(
        rows, columns=["GPUs", f"{unit} until the last run ends", "share of the time that a GPU trains"]
    )


def _rounded(length: float) -> str:
    return f"{length:,.0f}" if length >= 100 else f"{length:.1f}"
