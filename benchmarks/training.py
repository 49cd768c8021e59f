"""What a training step and a pruned epoch cost on this machine: `python benchmarks/training.py --data-dir D`.

Three tables, each from one run of this script, to be read as ratios:
1. precision and memory layout: what bfloat16 and channels_last give;
2. our loop against the same net in a plain PyTorch loop with a DataLoader and torchvision's transforms;
3. a pruned epoch against a full one, and the share of selecting and recording in it.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from dynprune_lib.data import ImageData, load_dataset
from dynprune_lib.paths import data_dir as folder_of_data
from dynprune_lib.profile import load_profile
from dynprune_lib.runs import EpochRecord, RunSpec
from dynprune_lib.train import Training, prepare, train_epoch, train_steps, used_precision
from dynprune_lib.vision import torchvision_datasets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions, of which the median counts")
    options = parser.parse_args()
    spec = load_profile(options.profile).runs()[0]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = load_dataset(spec.dataset, options.data_dir, device)
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print("# What training costs\n\nPrinted by `python benchmarks/training.py`; ratios are within this one run.\n")
    print(f"{spec.model}, batch {spec.batch_size}, {spec.dataset}, {name}, torch {torch.__version__}")
    compare_precisions(spec, data, options.rounds)
    compare_loops(spec, data, options.data_dir, options.rounds)
    compare_epochs(spec, data)


def compare_precisions(spec: RunSpec, data: ImageData, rounds: int) -> None:
    print("\n| precision | memory format | images/s | against the first |\n| --- | --- | --- | --- |")
    variants = {}
    for precision in dict.fromkeys(used_precision(wanted, data.device) for wanted in ("float32", "bfloat16")):
        for layout in (torch.contiguous_format, torch.channels_last):
            variants[precision, str(layout)] = our_steps(replace(spec, precision=precision), data, layout)
    speeds = measure(variants, rounds, spec.batch_size)
    first = next(iter(speeds.values()))
    for (precision, layout), speed in speeds.items():
        print(f"| {precision} | {layout.removeprefix('torch.')} | {speed:,.0f} | {speed / first:.2f} |")


def compare_loops(spec: RunSpec, data: ImageData, data_dir: str | None, rounds: int) -> None:
    print("\n| loop | images/s | ours against it |\n| --- | --- | --- |")
    variants = {"ours": our_steps(spec, data, torch.channels_last)}
    for workers in (0, 1, 2, 4):
        variants[f"plain PyTorch, {workers} workers"] = plain_steps(spec, data, data_dir, workers)
    speeds = measure(variants, rounds, spec.batch_size)
    for name, speed in speeds.items():
        print(f"| {name} | {speed:,.0f} | {speeds['ours'] / speed:.2f} |")


def compare_epochs(spec: RunSpec, data: ImageData) -> None:
    """Selecting and recording: `set_epoch`, the order, and `update` less the mean of the losses, which every loop
    takes, measured at the same place."""
    print("\n| pruned | sampler | epoch, s | against full data | over its share of samples | selecting + recording |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = [("full", 0.0), *(("ucb", rate) for rate in (0.3, 0.5, 0.7, 0.9))]
    specs = [replace(spec, sampler=sampler, settings={}, prune_rate=rate) for sampler, rate in rows]
    trainings = [prepare(row, data) for row in specs]
    epochs = [[] for _ in rows]
    for epoch in range(4):  # taken in turn, so that what else the machine does meets all of them; the first warms up
        _, mean = time_epoch(trainings[0], specs[0], data, epoch, lambda _index, losses, _scores: losses.mean())
        for row, training, measured in zip(specs, trainings, epochs, strict=True):
            record, updating = time_epoch(training, row, data, epoch, training.sampler.update)
            seconds = record.selection_seconds + record.training_seconds
            overhead = record.selection_seconds + record.steps * (updating - mean)
            measured.append((seconds, overhead / seconds))
    full = statistics.median(seconds for seconds, _ in epochs[0][1:])
    for row, measured in zip(specs, epochs, strict=True):
        seconds, overhead = (statistics.median(values) for values in zip(*measured[1:], strict=True))
        cells = (f"{seconds:.2f}", f"{seconds / full:.3f}", f"{seconds / full / (1 - row.prune_rate):.3f}")
        print(f"| {row.prune_rate:.0%} | {row.sampler} | {' | '.join(cells)} | {overhead:.2%} |")


def time_epoch(
    training: Training, spec: RunSpec, data: ImageData, epoch: int, update: Callable
) -> tuple[EpochRecord, float]:
    """The record of an epoch, and the seconds of one call of `update` in it (on a GPU: of issuing it)."""
    original, training.sampler.update = training.sampler.update, Stopwatch(update)
    record = train_epoch(training, spec, data, epoch)
    stopwatch, training.sampler.update = training.sampler.update, original
    return record, stopwatch.seconds / record.steps


class Stopwatch:
    """A function that adds up the time of its calls."""

    def __init__(self, function: Callable) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: object) -> object:
        started = time.perf_counter()
        result = self.function(*arguments)
        self.seconds += time.perf_counter() - started
        return result


STEPS = 60  # of a measurement


def our_steps(spec: RunSpec, data: ImageData, layout: torch.memory_format) -> Iterator[None]:
    """Trains STEPS steps at every `next`."""
    training = prepare(spec, data)
    training.model.to(memory_format=layout)
    order = training.sampler.indices()[: STEPS * spec.batch_size].to(data.train.labels.device)
    while True:
        train_steps(training, spec, data, order.split(spec.batch_size), epoch=0)
        yield


def plain_steps(spec: RunSpec, data: ImageData, data_dir: str | None, workers: int) -> Iterator[None]:
    """The same net and precision as PyTorch's own tutorials train it: transforms, DataLoader, mean loss."""
    torchvision_datasets()  # its operators are in order from here on
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
    source = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}[spec.dataset]
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
    training = prepare(spec, data)
    batches = endless(loader)
    while True:
        for _ in range(STEPS):
            x, y = next(batches)
            x = x.to(device, memory_format=torch.channels_last, non_blocking=True)
            with torch.autocast(
                device.type, torch.bfloat16, enabled=used_precision(spec.precision, device) == "bfloat16"
            ):
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
    """Images a second of each, in turns: the median over the rounds, after one to warm up."""
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
