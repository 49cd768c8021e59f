"""What selecting and recording cost at the size of a large data set: `python benchmarks/samplers.py [--samples N]`.

Prints, for every sampler, the seconds of `set_epoch` with its selection, the microseconds of `update` on a batch, the
bytes of state a sample, and the peak memory of the selection on top of that state.
"""

import argparse
import threading
import time
from pathlib import Path

import torch

from dynprune_lib import SAMPLERS, PruningSampler, StaticScored

BATCH = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    samples = parser.parse_args().samples
    print("# What selecting and recording cost\n\nPrinted by `python benchmarks/samplers.py`.\n")
    print(f"N = {samples:,}, half of it kept, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| sampler | `set_epoch` s | `update` of 256, µs | state, bytes a sample | peak of selecting, MiB |")
    print("| --- | --- | --- | --- | --- |")
    for name, make in SAMPLERS.items():
        given = {"scores": torch.arange(samples)} if issubclass(make, StaticScored) else {}
        sampler = make(samples, 0.0 if name == "full" else 0.5, **given)
        fill(sampler)
        seconds, peak = time_selection(sampler)
        cells = (f"{seconds:.2f}", f"{1e6 * time_update(sampler):.0f}", f"{state_bytes(sampler) / samples:.1f}")
        print(f"| {name} | {' | '.join(cells)} | {peak / 2**20:.0f} |", flush=True)


def fill(sampler: PruningSampler) -> None:
    """Scores as a training would leave them: all different."""
    generator = torch.Generator().manual_seed(0)
    for tensor in sampler.memory().values():
        tensor.uniform_(generator=generator)


def time_selection(sampler: PruningSampler) -> tuple[float, int]:
    """(seconds, bytes of memory on top of what was held before) of entering a new period; median of 3, worst of 3."""
    seconds, peaks = [], []
    for epoch in range(1, 4):
        with PeakMemory() as memory:
            started = time.perf_counter()
            sampler.set_epoch(epoch)
            sampler.indices()  # selects; the order of the epoch, too, is made anew
            seconds.append(time.perf_counter() - started)
        peaks.append(memory.peak)
    return sorted(seconds)[1], max(peaks)


def time_update(sampler: PruningSampler, repeats: int = 2_000) -> float:
    """Seconds of one call, over batches at random places."""
    generator = torch.Generator().manual_seed(0)
    batches = torch.randint(sampler.num_samples, (repeats, BATCH), generator=generator)
    losses = torch.rand(BATCH, generator=generator)
    started = time.perf_counter()
    for index in batches:
        sampler.update(index, losses)
    return (time.perf_counter() - started) / repeats


def state_bytes(sampler: PruningSampler) -> int:
    return sum(value.nbytes for value in vars(sampler).values() if isinstance(value, torch.Tensor))


class PeakMemory:
    """The highest resident memory of this process within the block, above that at its beginning (Linux)."""

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
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
