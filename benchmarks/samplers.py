"""Measure what selecting and recording cost, from small data sets to very large ones: `python benchmarks/samplers.py`.

Prints, for the dynamic samplers and every N up to `--largest`, the seconds of `set_epoch` with its selection and the
order of the epoch, the microseconds of `update` on a batch, the bytes of state per sample, and the peak memory of the
selection in addition to that state. The last row of each N is the usual implementation, that of InfoBatch (Qin et al.
2024): scores in an array on the host, indices in Python lists. It is rewritten here, for its cost alone.
"""

import argparse
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch

from dynprune_lib import Full, PruningSampler, StaticRandom
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.samplers import SAMPLERS, StaticScored

BATCH = 256
DYNAMIC = [name for name, each in SAMPLERS.items() if not issubclass(each, Full | StaticRandom | StaticScored)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=100_000_000)
    parser.add_argument("--largest-list", type=int, default=10_000_000, help="the same for the Python lists")
    options = parser.parse_args()
    print("# What selecting and recording cost\n\nPrinted by `python benchmarks/samplers.py`.\n")
    print(f"Half of the samples kept, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print(
        "| N | sampler | `set_epoch`, s | ns per sample | `update` of 256, µs | state, bytes per sample | peak, MiB |"  # noqa: RUF001 (of micro)
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    samples = 10_000
    while samples <= options.largest:
        labels = torch.arange(samples) % 10
        for name in DYNAMIC:
            spec = RunSpec(dataset="cifar10", model="small", sampler=name, prune_rate=0.5)
            print_row(spec.make_sampler(samples, labels=labels))
        if samples <= options.largest_list:
            print_row(HostLists(samples, 0.5))
        samples *= 10


def print_row(sampler: "PruningSampler | HostLists") -> None:
    fill(sampler)
    samples, (seconds, peak) = sampler.num_samples, time_selection(sampler)
    name = "lists on the host" if isinstance(sampler, HostLists) else type(sampler).__name__
    cells = (f"{seconds:.3f}", f"{1e9 * seconds / samples:.0f}", f"{1e6 * time_update(sampler):.0f}")
    print(
        f"| {samples:,} | {name} | {' | '.join(cells)} | {state_bytes(sampler) / samples:.1f} | {peak / 2**20:.0f} |",
        flush=True,
    )


class HostLists:
    """Sampler that keeps samples with a loss below the mean with a probability, and weights them by its inverse."""

    def __init__(self, num_samples: int, prune_rate: float) -> None:
        self.num_samples, self.keep = num_samples, 1 - prune_rate
        self.scores, self.weights = np.full(num_samples, 3.0), np.ones(num_samples)
        self.memory = {"scores": torch.from_numpy(self.scores)}
        self.order: list[int] = []
        self.random = np.random.default_rng(0)

    def set_epoch(self, _: int) -> None:
        is_low = self.scores < self.scores.mean()
        kept = np.where(~is_low)[0].tolist()
        low = np.where(is_low)[0]
        drawn = self.random.choice(low, int(self.keep * len(low)), replace=False)
        self.weights[:] = 1
        self.weights[drawn] = 1 / self.keep
        kept.extend(drawn)
        self.random.shuffle(kept)
        self.order = kept

    def indices(self) -> list[int]:
        return self.order

    def update(self, index: torch.Tensor, losses: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        weights = torch.tensor(self.weights[index.cpu().numpy()])
        self.scores[index.cpu().numpy()] = losses.detach().cpu().numpy()
        return (losses * weights).mean()


def fill(sampler: PruningSampler | HostLists) -> None:
    """Fill the state with scores like those after some training: all different."""
    generator = torch.Generator().manual_seed(0)
    for tensor in sampler.memory.values():
        if tensor.is_floating_point():  # others hold epochs
            tensor.uniform_(generator=generator)


def time_selection(sampler: PruningSampler | HostLists) -> tuple[float, int]:
    """Return the seconds (median of 3) and the additional bytes (largest of 3) of starting a new period."""
    seconds, peaks = [], []
    for epoch in range(1, 4):
        with PeakMemory() as memory:
            started = time.perf_counter()
            sampler.set_epoch(epoch)
            sampler.indices()  # selects, and shuffles the order of the epoch
            seconds.append(time.perf_counter() - started)
        peaks.append(memory.peak)
    return sorted(seconds)[1], max(peaks)


def time_update(sampler: PruningSampler | HostLists, repeats: int = 2_000) -> float:
    """Return the seconds of one call, a mean over batches at random places."""
    generator = torch.Generator().manual_seed(0)
    batches = torch.randint(sampler.num_samples, (repeats, BATCH), generator=generator)
    losses = torch.rand(BATCH, generator=generator)
    started = time.perf_counter()
    for index in batches:
        sampler.update(index, losses, losses)  # some are defined for a score of another name
    return (time.perf_counter() - started) / repeats


def state_bytes(sampler: PruningSampler | HostLists) -> int:
    arrays = sum(value.nbytes for value in vars(sampler).values() if isinstance(value, torch.Tensor | np.ndarray))
    numbers = vars(sampler).get("order", [])  # a list has a pointer to each of its objects
    return arrays + sum(8 + sys.getsizeof(number) for number in numbers[:1_000]) * len(numbers) // 1_000


class PeakMemory:
    """Peak resident memory of this process within a block, in addition to that at its start (Linux)."""

    def __enter__(self) -> "PeakMemory":
        self.peak, self.before, self.ended = 0, resident(), threading.Event()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def watch(self) -> None:
        while not self.ended.wait(0.002):
            self.peak = max(self.peak, resident() - self.before)

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.watcher.join()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096


if __name__ == "__main__":
    main()
