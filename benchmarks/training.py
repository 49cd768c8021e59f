"""Measure what a training step and a pruned epoch cost on this machine: `python benchmarks/training.py --data-dir D`.

Prints three tables, each from one run of this script, to be read as ratios:
1. what each part of the hot path contributes, and the share of the device's peak that it reaches: FLOPs of the net's
   passes (counted) over those of a large matrix product or convolution in the same precision (measured);
2. our loop against the same net in a plain PyTorch loop with a DataLoader and torchvision's transforms;
3. a pruned epoch against a full one, and the share of selecting and recording in it.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.experiments.data import ImageData, Split, load_dataset
from dynprune_lib.experiments.precision import autocast, used_precision
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.records import EpochRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.train import TrainState, train_epoch, train_steps
from dynprune_lib.paths import data_dir as folder_of_data

CIFAR = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}  # name -> class in torchvision, for the plain loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--batch-size", type=int, default=None, help="by default the profile's")
    parser.add_argument("--samples", type=int, default=50_000, help="of an epoch of full data in the third table")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions, of which the median counts")
    options = parser.parse_args()
    spec = load_profile(options.profile).runs()[0]
    if spec.dataset not in CIFAR:
        parser.error(f"profile {options.profile} trains {spec.dataset}: choose one that trains {' or '.join(CIFAR)}")
    spec = replace(spec, batch_size=options.batch_size or spec.batch_size)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = load_dataset(spec.dataset, options.data_dir, device)
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print("# What training costs\n\nPrinted by `python benchmarks/training.py`; ratios are within this one run.\n")
    print(f"{spec.model}, batch {spec.batch_size}, {spec.dataset}, {name}, torch {torch.__version__}")
    compare_parts(spec, data, options.rounds)
    compare_loops(spec, data, options.data_dir, options.rounds)
    train = Split(data.train.images[: options.samples], data.train.labels[: options.samples])
    compare_epochs(spec, replace(data, train=train))


def compare_parts(spec: RunSpec, data: ImageData, rounds: int) -> None:
    """Print one row per part, each added to the row before; `train` has all parts except those marked as tried."""
    plain, ours = {"layout": torch.contiguous_format, "fused": False}, {"layout": torch.channels_last, "fused": True}
    parts = {
        "float32, contiguous, SGD in a loop over tensors": ("float32", plain),
        "channels_last": ("float32", plain | {"layout": torch.channels_last}),
        "fused SGD": ("float32", ours),
    }
    if used_precision("bfloat16", data.device) == "bfloat16":
        parts["bfloat16"] = ("bfloat16", ours)
    parts["tried: torch.compile"] = ("bfloat16", ours | {"compiled": "default"})
    if data.device.type == "cuda":
        parts["tried: torch.compile with CUDA graphs"] = ("bfloat16", ours | {"compiled": "reduce-overhead"})
    variants = {
        name: our_steps(replace(spec, precision=precision), data, **how) for name, (precision, how) in parts.items()
    }
    speeds = measure(variants, rounds, spec.batch_size)
    print("\n| | images/s | against the first | share of the peak |\n| --- | --- | --- | --- |")
    flops, first = flops_of_an_image(spec, data), next(iter(speeds.values()))
    for name, speed in speeds.items():
        share = flops * speed / peak_flops(data.device, used_precision(parts[name][0], data.device))
        print(f"| {name} | {speed:,.0f} | {speed / first:.2f} | {share:.0%} |")


def flops_of_an_image(spec: RunSpec, data: ImageData) -> float:
    """Return the FLOPs of a forward and backward pass, of convolutions and matrix products alone."""
    training = TrainState(replace(spec, precision="float32"), data)
    with FlopCounterMode(display=False) as counter:
        train_steps(training, (torch.arange(spec.batch_size, device=data.device),), epoch=0)
    return counter.get_total_flops() / spec.batch_size


@functools.cache
def peak_flops(device: torch.device, precision: str) -> float:
    """Return the FLOPs per second of a large matrix product or convolution, whichever is faster: best of four."""
    given = {"device": device, "dtype": getattr(torch, precision)}
    one, images, weights = (
        torch.randn(shape, **given) for shape in ((4096, 4096), (128, 256, 32, 32), (256, 256, 3, 3))
    )
    images, weights = (each.to(memory_format=torch.channels_last) for each in (images, weights))
    work = {lambda: one @ one: 2 * 4096**3, lambda: F.conv2d(images, weights, padding=1): 2 * 128 * 32**2 * 256**2 * 9}
    best = 0.0
    for call, flops in (item for _ in range(4) for item in work.items()):
        started = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, flops / (time.perf_counter() - started))
    return best


def compare_loops(spec: RunSpec, data: ImageData, data_dir: str | None, rounds: int) -> None:
    print("\n| loop | images/s | ours against it |\n| --- | --- | --- |")
    variants = {"ours": our_steps(spec, data)}
    for workers in (0, 1, 2, 4):
        variants[f"plain PyTorch, {workers} workers"] = plain_steps(spec, data, data_dir, workers)
    speeds = measure(variants, rounds, spec.batch_size)
    for name, speed in speeds.items():
        print(f"| {name} | {speed:,.0f} | {speeds['ours'] / speed:.2f} |")


def compare_epochs(spec: RunSpec, data: ImageData) -> None:
    """Print the cost of pruned epochs.

    Selecting and recording are `set_epoch`, the order, and `update` less the mean of the losses, which every loop
    computes, measured at the same place.
    """
    print(f"\nEpochs of {len(data.train):,} samples, with selecting and recording inside and evaluation outside:")
    print("\n| pruned | sampler | epoch, s | against full data | over its share of samples | selecting + recording |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = [("full", 0.0), *(("ucb", rate) for rate in (0.3, 0.5, 0.7, 0.9))]
    specs = [replace(spec, sampler=sampler, settings={}, prune_rate=rate) for sampler, rate in rows]
    trainings = [TrainState(row, data) for row in specs]
    epochs = [[] for _ in rows]
    for epoch in range(4):  # in turns, so that other load on the machine affects all rows; the first epoch warms up
        _, mean = time_epoch(trainings[0], epoch, lambda _index, losses, _scores: losses.mean())
        for training, measured in zip(trainings, epochs, strict=True):
            record, updating = time_epoch(training, epoch, training.sampler.update)
            seconds = record.selection_seconds + record.training_seconds
            overhead = record.selection_seconds + record.steps * (updating - mean)
            measured.append((seconds, overhead / seconds))
    full = statistics.median(seconds for seconds, _ in epochs[0][1:])
    for row, measured in zip(specs, epochs, strict=True):
        seconds, overhead = (statistics.median(values) for values in zip(*measured[1:], strict=True))
        cells = (f"{seconds:.2f}", f"{seconds / full:.3f}", f"{seconds / full / (1 - row.prune_rate):.3f}")
        print(f"| {row.prune_rate:.0%} | {row.sampler} | {' | '.join(cells)} | {overhead:.2%} |")


def time_epoch(training: TrainState, epoch: int, update: Callable) -> tuple[EpochRecord, float]:
    """Return the record of an epoch, and the seconds of one call of `update` in it (on a GPU, of launching it)."""
    original, training.sampler.update = training.sampler.update, Stopwatch(update)
    record = train_epoch(training, epoch)
    stopwatch, training.sampler.update = training.sampler.update, original
    return record, stopwatch.seconds / record.steps


class Stopwatch:
    """Function that adds up the time of its calls."""

    def __init__(self, function: Callable) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: object) -> object:
        started = time.perf_counter()
        result = self.function(*arguments)
        self.seconds += time.perf_counter() - started
        return result


STEPS = 60  # of a measurement


def our_steps(
    spec: RunSpec,
    data: ImageData,
    layout: torch.memory_format = torch.channels_last,
    fused: bool = True,
    compiled: str | None = None,
) -> Iterator[None]:
    """Train STEPS steps at every `next`."""
    training = TrainState(spec, data)
    training.model.to(memory_format=layout)
    for group in training.optimizer.param_groups:
        group |= {"fused": fused, "foreach": False}
    if compiled:
        training.model.compile(mode=compiled, dynamic=False)
    order = training.sampler.indices()[: STEPS * spec.batch_size].to(data.train.labels.device)
    while True:
        train_steps(training, order.split(spec.batch_size), epoch=0)
        yield


def plain_steps(spec: RunSpec, data: ImageData, data_dir: str | None, workers: int) -> Iterator[None]:
    """Train the same net in the same precision as PyTorch's tutorials do: transforms, DataLoader, mean loss."""
    torchvision_datasets()  # defines the operators that torchvision's transforms need
    from torchvision import transforms

    device = data.train.labels.device
    prepared = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((data.mean / 255).tolist(), (data.std / 255).tolist()),
        ]
    )
    source = CIFAR[spec.dataset]
    train_set = getattr(torchvision_datasets(), source)(folder_of_data(data_dir), transform=prepared)
    loader = DataLoader(
        train_set,
        spec.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )
    training = TrainState(spec, data)
    batches = endless(loader)
    while True:
        for _ in range(STEPS):
            x, y = next(batches)
            x = x.to(device, memory_format=torch.channels_last, non_blocking=True)
            with autocast(device, spec.precision):
                logits = training.model(x)
            loss = F.cross_entropy(logits.float(), y.to(device, non_blocking=True))
            training.optimizer.zero_grad()
            loss.backward()
            training.optimizer.step()
        yield


def endless(loader: DataLoader) -> Iterator:
    while True:
        yield from loader


def measure(variants: dict, rounds: int, batch_size: int) -> dict:
    """Return images per second of each variant, measured in turns: the median over the rounds, after one to warm up."""
    speeds = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, steps in variants.items():
            started = time.perf_counter()
            next(steps)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                speeds[name].append(STEPS * batch_size / (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in speeds.items()}


if __name__ == "__main__":
    main()
