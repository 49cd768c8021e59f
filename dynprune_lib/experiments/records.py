"""RunRecord: a run's results, and the cost of every epoch."""

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from torch import Tensor

from dynprune_lib.experiments.runs import RunSpec


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """Results and cost of one epoch. Seconds are wall-clock time, passes count samples.

    Args:
        train_loss: mean over the steps.
        test_loss: mean on the test set.
        test_accuracy: in [0, 1]; of a regression, R², 0 if it is negative.
        samples_kept: size of the subset.
        steps: optimizer steps.
        forward_passes: samples that went forward.
        backward_passes: samples that went backward.
        selection_seconds: selecting the subset and its order.
        training_seconds: forward and backward passes, steps, and recording the losses.
        scoring_seconds: forward passes for scores only.
        evaluation_seconds: on the test set.

    Raises:
        ValueError: a value is not finite, negative or of the wrong type.
    """

    train_loss: float
    test_loss: float
    test_accuracy: float
    samples_kept: int
    steps: int
    forward_passes: int
    backward_passes: int
    selection_seconds: float
    training_seconds: float
    scoring_seconds: float
    evaluation_seconds: float

    def __post_init__(self) -> None:
        _check_numbers(self)
        if self.test_accuracy > 1:
            raise ValueError(f"test_accuracy is {self.test_accuracy}: it is a share, at most 1")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Wall-clock seconds, and passes counted in samples.

    Example:
        >>> Cost(seconds=1.5, forward_passes=20) + Cost(seconds=0.5, forward_passes=10, backward_passes=10)
        Cost(seconds=2.0, forward_passes=30, backward_passes=10)
    """

    seconds: float = 0.0
    forward_passes: int = 0
    backward_passes: int = 0

    def __post_init__(self) -> None:
        _check_numbers(self)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


@dataclass(frozen=True, kw_only=True)
class LastEpoch:
    """What the accuracy of the trained model does not show: test accuracy of each class, and calibration error, in [0,
    1]."""

    class_accuracy: list[float]
    calibration_error: float


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """How long samples are left out, see `Selections`.

    Args:
        overlap: of each epoch, the share of its left-out samples that the epoch before left out too; None where
            undefined.
        wanted: of each epoch with a new selection, the share of the training set that the sampler's own rule keeps;
            None for a ranking.
        median_absence: median over samples of the longest number of consecutive epochs without the sample.
        longest_absence: its maximum.
    """

    overlap: list[float | None]
    wanted: list[float | None]
    median_absence: int
    longest_absence: int


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Selected samples of each epoch: how many have a wrong label, and how many are of each class."""

    wrong_labels: list[int]
    of_each_class: list[list[int]]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A finished run.

    Args:
        spec: what was run.
        epochs: results and cost of every epoch.
        environment: where it was run, see `describe_environment`.
        scoring: cost of the scores computed before training. Default: none.
        last_epoch: more about the trained model; None in records of version 0.1 and of regressions.
        left_out: more about the selected subsets; None in records of version 0.1.
        composition: of the subsets; None for data with clean labels and no rare classes.

    Raises:
        ValueError: the number of epochs is not that of the spec.
    """

    spec: RunSpec
    epochs: list[EpochRecord]
    environment: dict[str, Any]
    scoring: Cost = field(default_factory=Cost)
    last_epoch: LastEpoch | None = None
    left_out: LeftOut | None = None
    composition: Composition | None = None

    def __post_init__(self) -> None:
        if len(self.epochs) != self.spec.epochs:
            raise ValueError(f"it has {len(self.epochs)} of {self.spec.epochs} epochs")

    @property
    def test_accuracy(self) -> float:
        """Test accuracy after the last epoch, in [0, 1] (never the best epoch)."""
        return self.epochs[-1].test_accuracy

    @property
    def training(self) -> Cost:
        """Cost of all epochs: selection, training and re-scoring, without evaluation."""
        return cost_of(self.epochs)

    def to_json(self) -> str:
        """Return the record as JSON, one line per column of the epochs."""
        columns = {name: [getattr(epoch, name) for epoch in self.epochs] for name in _columns()}
        lines = ",\n".join(f"    {json.dumps(name)}: {_dumps(values)}" for name, values in columns.items())
        spec = _dumps(asdict(self.spec), indent=2).replace("\n", "\n  ")
        environment = _dumps(self.environment, indent=2).replace("\n", "\n  ")
        given = {name: value for name in ("scoring", *OPTIONAL) if (value := getattr(self, name)) is not None}
        others = "".join(f'  "{name}": {_dumps(asdict(value))},\n' for name, value in given.items())
        parts = f'  "epochs": {{\n{lines}\n  }},\n{others}  "environment": {environment}'
        return f'{{\n  "spec": {spec},\n{parts}\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the record that `to_json` wrote; anything else raises ValueError, KeyError or TypeError."""
        values = json.loads(text)
        columns = [values["epochs"][name] for name in _columns()]
        if not all(isinstance(column, list) for column in columns):
            raise TypeError("a column of the epochs is not a list")
        epochs = [EpochRecord(**dict(zip(_columns(), row, strict=True))) for row in zip(*columns, strict=True)]
        spec, scoring = RunSpec(**values["spec"]), Cost(**values.get("scoring", {}))
        optional = {name: kind(**values[name]) for name, kind in OPTIONAL.items() if name in values}
        return cls(spec=spec, epochs=epochs, environment=values["environment"], scoring=scoring, **optional)


# parts of a record that not all records have
OPTIONAL: dict[str, Any] = {"last_epoch": LastEpoch, "left_out": LeftOut, "composition": Composition}


@dataclass(frozen=True, kw_only=True)
class StaticScores:
    """Scores (N,) float32 of all training samples before training, of a `scoring_spec`."""

    spec: RunSpec
    values: Tensor
    cost: Cost
    environment: dict[str, Any]


def cost_of(epochs: list[EpochRecord]) -> Cost:
    """Return the total cost of some epochs, without evaluation."""
    return Cost(
        seconds=sum(each.selection_seconds + each.training_seconds + each.scoring_seconds for each in epochs),
        forward_passes=sum(each.forward_passes for each in epochs),
        backward_passes=sum(each.backward_passes for each in epochs),
    )


def _check_numbers(record: EpochRecord | Cost) -> None:
    for each in fields(record):
        value = getattr(record, each.name)
        allowed = int if each.type is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed) or not (math.isfinite(value) and value >= 0):
            kind = "an integer" if each.type is int else "a finite number"
            raise ValueError(f"{each.name} is {value!r}: it must be {kind} of at least 0")


def _dumps(value: Any, **layout: Any) -> str:
    """Return standard JSON, which has no NaN."""
    return json.dumps(value, allow_nan=False, **layout)


def _columns() -> list[str]:
    return [field.name for field in fields(EpochRecord)]
