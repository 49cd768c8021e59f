"""Simulate a profile on several GPUs: its list of runs, in order, each on the GPU that is free first.

    python benchmarks/scale.py paper                        # in training passes over 50,000 images
    python benchmarks/scale.py paper --images-per-second N  # in hours, at the speed of your GPU

A run takes as long as its sample passes. The first run that needs a scoring takes its passes as well. Evaluation and
start-up are left out. `python benchmarks/training.py --profile short` measures the speed of a GPU.
"""

import argparse
import heapq
from collections import Counter

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.static_scores import METHODS, scoring_spec

IMAGES = {"digits": 1_437, "fashion_mnist": 60_000}  # others: 50,000
GPUS = (1, 2, 4, 8, 16, 32, 64, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--images-per-second", type=float, help="default: times are in passes over 50,000 images")
    options = parser.parse_args()
    unit, per_unit = "passes", 50_000
    if options.images_per_second:
        unit, per_unit = "hours", 3_600 * options.images_per_second
    lengths = [(spec, passes / per_unit) for spec, passes in run_passes(load_profile(options.profile).runs())]

    totals, counts = Counter(), Counter()
    for spec, length in lengths:
        totals[spec.dataset, spec.model] += length
        counts[spec.dataset, spec.model] += 1
    print(f"| data set | net | runs | GPU {unit} |\n| --- | --- | --- | --- |")
    for (dataset, model), total in totals.items():
        print(f"| {dataset} | {model} | {counts[dataset, model]} | {total:,.0f} |")
    print(f"\n| GPUs | {unit} until the last run ends | share of the time that a GPU trains |\n| --- | --- | --- |")
    for gpus in GPUS:
        end = last_end([length for _, length in lengths], gpus)
        print(f"| {gpus} | {end:,.0f} | {sum(totals.values()) / gpus / end:.0%} |")


def run_passes(specs: list[RunSpec]) -> list[tuple[RunSpec, float]]:
    """Return each run with the samples that it trains on, and that the models of its scoring train on."""
    scored, found = set(), []
    for spec in specs:
        images = IMAGES.get(spec.dataset, 50_000)
        passes = spec.epochs * images * (1 - spec.prune_rate)
        if spec.is_static_scored and (name := scoring_spec(spec).name) not in scored:
            scored.add(name)
            method = METHODS[spec.sampler](scoring_spec(spec), images)
            passes += method.models * method.epochs * images
        found.append((spec, passes))
    return found


def last_end(lengths: list[float], gpus: int) -> float:
    """Return when the last run ends, if each begins on the GPU that is free first."""
    free = [0.0] * gpus
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


if __name__ == "__main__":
    main()
