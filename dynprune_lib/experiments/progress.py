"""Progress of long work: one bar for all of it, and one line per finished part."""

import io
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Self

from tqdm import tqdm

from dynprune_lib.experiments.records import EpochRecord, RunRecord
from dynprune_lib.experiments.runs import SCORING_SEEDS, RunSpec
from dynprune_lib.experiments.static_scores import scoring_epochs, scoring_spec

FORMAT = "{desc}: {percentage:3.0f} %|{bar:20}| {elapsed} < {remaining}{postfix}"


def progress_bar(total: int) -> tqdm:
    """Return a progress bar on stderr, which disappears at its end.

    Plain tqdm: the notebook version freezes under papermill.
    """
    file = sys.stderr or io.StringIO()  # None if it was closed
    look = {"bar_format": FORMAT, "smoothing": 0, "mininterval": 0.5, "dynamic_ncols": True, "leave": False}
    return tqdm(total=total, file=file, **look)


class Progress:
    """Progress bar over the sample passes of all runs, with the last epoch's accuracy and speed.

    Args:
        specs: the runs that are to be made.
        scorings: the scorings that are to be made for them. Default: none.
        lines: whether to write a line per finished run. Default: True.

    Attributes:
        failures: one message per failed run that no other process has made since, by the name of the run.
        stopped: whether runs are left, as the time was up or a signal came.
    """

    def __init__(self, specs: list[RunSpec], scorings: Sequence[RunSpec] = (), lines: bool = True) -> None:
        self.failures: dict[str, str] = {}  # run, or message if of none -> message
        self.stopped = False
        self._epochs_left = Counter({spec.name: spec.epochs for spec in specs})
        self._epochs_left.update({scoring.name: scoring_epochs(scoring) for scoring in scorings})
        self._lines = lines
        self._bar = progress_bar(sum(self._epochs_left[spec.name] * _weight(spec) for spec in [*specs, *scorings]))
        self._count, self._done = len(specs), 0

    def __enter__(self) -> Self:
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def handle(self, event: str, spec: RunSpec | None, value: EpochRecord | RunRecord | str | None) -> None:
        """Show one event of a sweep: `begun`, `epoch`, `finished`, `failed` or `stopped`, with its value."""
        getattr(self, f"_{event}")(spec, value)

    def _begun(self, spec: RunSpec, _: None) -> None:
        self._bar.set_postfix_str(_title(spec), refresh=False)

    def _epoch(self, spec: RunSpec, epoch: EpochRecord) -> None:
        speed = epoch.backward_passes / epoch.training_seconds
        self._bar.set_postfix_str(f"{_title(spec)}: {epoch.test_accuracy:.1%}, {speed:,.0f} samples/s", refresh=False)
        self._advance(spec, 1)

    def _finished(self, spec: RunSpec, record: RunRecord) -> None:
        self._done += 1
        self._show()
        for each in [spec, *([scoring_spec(spec)] if spec.is_static_scored else [])]:
            self._advance(each, self._epochs_left[each.name])  # those of an earlier sweep, or of another process
        if lost := self.failures.pop(spec.name, None):  # its process was killed, and another went on
            self._bar.write(lost, file=self._bar.fp)
        if self._lines:
            line = f"{_title(spec)}: {record.test_accuracy:.2%} after {record.training.seconds:.1f} s of training"
            self._bar.write(line, file=self._bar.fp)

    def _failed(self, spec: RunSpec | None, message: str) -> None:
        self.failures[spec.name if spec else message] = message  # reported at the end of the sweep
        self._show()

    def _stopped(self, *_: None) -> None:
        self.stopped = True

    def _advance(self, spec: RunSpec, epochs: int) -> None:
        self._epochs_left[spec.name] -= epochs
        self._bar.update(epochs * _weight(spec))

    def _show(self) -> None:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        self._bar.set_description_str(f"{self._done} of {self._count} runs{failed}", refresh=False)


def _weight(spec: RunSpec) -> int:
    """Return the length of an epoch in the bar: samples kept, per thousand. Sums of integers are exact."""
    return round(1_000 * (1 - spec.prune_rate))


def _title(spec: RunSpec) -> str:
    if spec.seed >= SCORING_SEEDS:
        return f"scoring for {spec.sampler} seed {spec.seed // SCORING_SEEDS - 1}"
    return f"{spec.sampler} {spec.prune_rate:.0%} seed {spec.seed}"
