"""What a person sees of long work: one bar for all runs, and a line for each that is finished."""

from collections import defaultdict
from typing import Self

from tqdm import tqdm

from dynprune_lib.runs import EpochRecord, RunRecord, RunSpec


class Progress:
    """A bar in epochs of full data (a pruned epoch counts for the share of the samples that it trains on), with the
    accuracy and the speed of the last epoch, and the time left."""

    def __init__(self, specs: list[RunSpec]) -> None:
        self.failures: list[str] = []
        self._left = {spec.name: float(spec.epochs) for spec in specs}
        self._seconds: dict[str, float] = defaultdict(float)
        total = sum(spec.epochs * (1 - spec.prune_rate) for spec in specs)
        # the mean speed from the beginning on, since runs differ; plain tqdm, which every terminal and notebook shows
        self._bar = tqdm(total=round(total, 1), unit="epoch", smoothing=0, dynamic_ncols=True, leave=False)
        self._count, self._done = len(specs), 0

    def __enter__(self) -> Self:
        self._show("starting")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def handle(self, event: str, spec: RunSpec, value: EpochRecord | RunRecord | str) -> None:
        """Shows one event of a sweep: `epoch`, `finished` or `failed`, with what belongs to it."""
        getattr(self, f"_{event}")(spec, value)

    def _epoch(self, spec: RunSpec, epoch: EpochRecord) -> None:
        speed = epoch.backward_passes / epoch.training_seconds
        self._advance(spec, 1)
        self._show(f"{_title(spec)}: {epoch.test_accuracy:.1%}, {speed:,.0f} samples/s")

    def _finished(self, spec: RunSpec, record: RunRecord) -> None:
        self._done += 1
        self._advance(spec, self._left[spec.name])  # epochs that an earlier sweep had made
        self._bar.write(f"{_title(spec)}: {record.test_accuracy:.2%} after {record.seconds:.0f} s of training")

    def _failed(self, _: RunSpec, message: str) -> None:
        self.failures.append(message)
        self._bar.write(message)

    def _advance(self, spec: RunSpec, epochs: float) -> None:
        self._left[spec.name] -= epochs
        self._bar.update(epochs * (1 - spec.prune_rate))

    def _show(self, text: str) -> None:
        self._bar.set_description_str(f"{self._done} of {self._count} runs")
        self._bar.set_postfix_str(text)


def _title(spec: RunSpec) -> str:
    return f"{spec.sampler} {spec.prune_rate:.0%} seed {spec.seed}"
