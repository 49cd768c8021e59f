"""The tasks of a sweep: which is next, how each has ended, and a bar that shows it."""

import contextlib
import functools
import io
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

from dynprune_lib.errors import StoreError
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.static_scores import METHODS, scoring_epochs, scoring_spec
from dynprune_lib.experiments.store import Store

if TYPE_CHECKING:
    from dynprune_lib.experiments.sweep import Plan

FORMAT = "{desc}: {percentage:3.0f} %|{bar:20}| {elapsed} < {remaining}{postfix}"


@dataclass(frozen=True)
class Task:
    """A run, or with `scores_only` the scores that it shares with other runs."""

    spec: RunSpec
    scores_only: bool = False

    @functools.cached_property
    def scoring(self) -> str | None:
        """Name of the scores that the run needs."""
        return scoring_spec(self.spec).name if self.spec.is_static_scored else None

    @property
    def name(self) -> str:
        return self.scoring if self.scores_only and self.scoring else self.spec.name

    @property
    def title(self) -> str:
        if self.scores_only:
            return f"scoring for {self.spec.sampler} seed {self.spec.seed}"
        return f"{self.spec.sampler} {self.spec.prune_rate:.0%}, {self.spec.epochs} epochs, seed {self.spec.seed}"

    @functools.cached_property
    def epoch(self) -> float:
        """Share of the data that an epoch trains on."""
        return 1 - (scoring_spec(self.spec) if self.scores_only else self.spec).prune_rate

    @property
    def work(self) -> float:
        """Work of all epochs, in epochs of full data."""
        return self.epoch * (scoring_epochs(scoring_spec(self.spec)) if self.scores_only else self.spec.epochs)


def tasks_of(specs: list[RunSpec], store: Store) -> list[Task]:
    """Return the runs as tasks; each missing scoring comes before the first run that needs it."""
    tasks: dict[str, Task] = {}
    for spec in specs:
        if spec.is_static_scored and spec.sampler in METHODS and not store.has_scores(scoring_spec(spec)):
            scoring = Task(spec, scores_only=True)
            tasks.setdefault(scoring.name, scoring)
        tasks[spec.name] = Task(spec)
    return list(tasks.values())


class Schedule:
    """Tasks that are handed out one by one, and a bar over all of them."""

    def __init__(self, tasks: list[Task], plan: "Plan") -> None:
        self.under_way: dict[str, Task] = {}  # handed out and not ended, by name
        self.taken: list[Task] = []  # of this round, that another process holds
        self.failures: dict[str, str] = {}  # a message by the name of each task that failed
        self._waiting: list[Task] = []
        self._plan = plan
        self._left = {task.name: task.work for task in tasks}
        self._done, self._count = 0, sum(not task.scores_only for task in tasks)
        self._bar = progress_bar(sum(self._left.values()))
        self._show()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def begin(self, tasks: list[Task]) -> None:
        """Hand out these tasks from now on."""
        self._waiting, self.taken = list(tasks), []

    def next(self) -> Task | None:
        """Hand out the first task whose scores are there; None if there is none, or the time is up."""
        if self._plan.ends_within(0):
            self._waiting = []
        unscored = {
            task.scoring for task in [*self._waiting, *self.under_way.values(), *self.taken] if task.scores_only
        }
        for task in self._waiting:
            if task.scores_only or task.scoring not in unscored:
                self._waiting.remove(task)
                self.under_way[task.name] = task
                return task
        if not self.under_way:  # those left need scores that another process makes
            self.taken, self._waiting = [*self.taken, *self._waiting], []
        return None

    def handle(self, event: str, task: Task, value: Any) -> None:
        """Take note of an event: "epoch" and "died" are not the end of a task, the others are."""
        if event not in ("epoch", "died"):
            del self.under_way[task.name]
        match event:
            case "epoch":
                speed = value.backward_passes / value.training_seconds
                title = f"{task.title}: {value.test_accuracy:.1%}, {speed:,.0f} samples/s"
                self._bar.set_postfix_str(title, refresh=False)
                self._advance(task, task.epoch)
            case "died":
                self._write(f"the process of {task.name} {value}: trying once more from the last checkpoint")
            case "made":
                self._done += 1
                self._show()
                self._advance(task, self._left[task.name])  # epochs of an earlier sweep, or of another process
                if self._plan.lines:
                    spent = f"{value.training.seconds:.1f} s of training"
                    self._write(f"{task.title}: {value.test_accuracy:.2%} after {spent}")
            case "scored":
                self._advance(task, self._left[task.name])
            case "taken":
                self.taken.append(task)
            case "stopped":
                self._waiting = []
            case "unwritable":
                self.failures[value] = value  # once, not for each run
                self._waiting = []
            case "failed":
                self._fail(task, f"{task.name}: {value}")

    def _fail(self, task: Task, message: str) -> None:
        """Keep why a task failed; the runs that need a failed scoring fail, too."""
        self.failures[task.name] = message
        lost = [each for each in self._waiting if task.scores_only and each.scoring == task.scoring]
        self._waiting = [each for each in self._waiting if each not in lost]
        for each in [task, *lost]:
            with contextlib.suppress(StoreError):
                self._plan.store.save_failure(each.spec, message)
        self._show()

    def _advance(self, task: Task, work: float) -> None:
        self._left[task.name] -= work
        self._bar.update(work)

    def _write(self, line: str) -> None:
        self._bar.write(line, file=sys.stderr or io.StringIO())  # None: it was closed

    def _show(self) -> None:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        self._bar.set_description_str(f"{self._done} of {self._count} runs{failed}", refresh=False)


def progress_bar(total: float) -> tqdm:
    """Return a bar on stderr, none where that is a file. Plain tqdm: the notebook version freezes under papermill."""
    look = {"bar_format": FORMAT, "smoothing": 0, "mininterval": 0.5, "dynamic_ncols": True, "leave": False}
    return tqdm(total=total, file=sys.stderr or io.StringIO(), disable=None, **look)
