"""What a run is, and what is kept of it."""

import hashlib
import inspect
import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import torch
from torch import Tensor

from dynprune_lib.experiments.models import MODELS
from dynprune_lib.samplers import SAMPLERS, Bandit, LastScore, PruningSampler, StaticScored
from dynprune_lib.samplers.checks import boolean, integer, real
from dynprune_lib.scores import SCORES

PRECISIONS = ("float32", "bfloat16")
SCHEDULES = ("one-cycle", "cosine")
CHOICES = {
    "model": MODELS,
    "sampler": SAMPLERS,
    "score": SCORES,
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
}
NUMBERS = {
    "prune_rate": ("the fraction left out", "[0, 1)"),
    "learning_rate": ("the peak of the schedule", "(0, inf)"),
    "momentum": ("the momentum of SGD", "[0, 1)"),
    "weight_decay": ("the weight decay of SGD", "[0, 1)"),
    "label_smoothing": ("the label smoothing", "[0, 1)"),
}
GIVEN_BY_THE_RUN = {"num_samples", "prune_rate", "seed", "scores"}  # what a sampler takes and no setting says


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One training run: two runs of one spec are the same experiment.

    Attributes:
        dataset: a name that `load_dataset` knows.
        model: a name in MODELS.
        sampler: a name in SAMPLERS.
        prune_rate: fraction of the training samples left out of every epoch.
        score: what a sampler is told of a sample, in SCORES; for a sampler that is of one score, that one.
        rescore: score all the samples by a forward pass before every selection, but those of an untrained model;
            otherwise a sampler knows of a sample what it was last trained with.
        trace: of so many samples, evenly spaced, the bandit's mean scores after every epoch are kept with the record.
        settings: what else the sampler takes, by name: `{"epsilon": 0.1}`; the sampler's defaults are filled in.
        epochs: epochs of the run, whatever the samples in each.
        batch_size: samples a step; the last, smaller batch of an epoch is left out.
        learning_rate: the peak of the schedule.
        momentum: of SGD, in Nesterov's form.
        weight_decay: of SGD, on all parameters.
        schedule: of the learning rate over the steps that the run really makes, in SCHEDULES.
        label_smoothing: of the cross-entropy, in [0, 1).
        precision: of the forward and backward pass, in PRECISIONS; parameters are always float32. A device that does
            not compute in bfloat16, which would take it many times as long, uses float32: the record says which.
        alone: train while no other run is on the device: a run whose seconds count.
        seed: decides initialisation, order, augmentation and the sampler's draws.

    Raises:
        ValueError: a field has a value that it cannot have; the message lists what is allowed.
    """

    dataset: str
    model: str
    sampler: str = "full"
    prune_rate: float = 0.0
    score: str = "loss"
    rescore: bool = False
    trace: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    epochs: int = 16
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "one-cycle"
    label_smoothing: float = 0.0
    precision: str = "float32"
    alone: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str):
            raise ValueError(f"dataset is {self.dataset!r}: it must be the name of a data set")
        for name, allowed in CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        for name, lowest in (("epochs", 1), ("batch_size", 1), ("trace", 0), ("seed", 0)):
            integer(name, getattr(self, name), at_least=lowest)
        for name, (meaning, interval) in NUMBERS.items():
            real(name, getattr(self, name), meaning, interval)
        for name in ("rescore", "alone"):
            boolean(name, getattr(self, name))
        if not isinstance(self.settings, dict):
            raise ValueError(f"settings is {self.settings!r}: it must be a dict of the sampler's settings")
        for name in self.settings:
            check_choice(f"setting of {self.sampler}", name, sampler_settings(self.sampler))
        object.__setattr__(self, "settings", sampler_settings(self.sampler) | self.settings)
        self._check_score()
        num_samples = min(1_000_000, math.ceil(1_000 / (1 - self.prune_rate)))  # enough for a small share of the kept
        self.make_sampler(num_samples, torch.zeros(num_samples))  # it checks its settings
        self._check_reached()

    def _check_score(self) -> None:
        if required_score := SAMPLERS[self.sampler].required_score:
            if self.score not in ("loss", required_score):
                raise ValueError(f"score is {self.score}: {self.sampler} looks at {required_score} alone")
            object.__setattr__(self, "score", required_score)
        for name, samplers in (("rescore", (Bandit, LastScore)), ("trace", Bandit)):
            if getattr(self, name) and not issubclass(SAMPLERS[self.sampler], samplers):
                raise ValueError(f"{name} is {getattr(self, name)}: {self.sampler} does not look at scores of training")

    def _check_reached(self) -> None:
        latest = {
            "period": self.epochs,
            "at_epoch": self.epochs,
            "warm_up": self.epochs - 1,
            "anneal_from": self.epochs - 1,
            "random_from": self.epochs - 1,
        }
        for name, last in latest.items():
            if (self.settings.get(name) or 0) > last:
                raise ValueError(
                    f"{name} of {self.sampler} is {self.settings[name]}: in a run of {self.epochs} epochs it can be"
                    f" at most {last}"
                )

    @property
    def name(self) -> str:
        """The run's name in the store: what a reader looks for, and a hash of all that differs from the defaults, so
        that a field or a setting added later changes no name of an earlier run."""
        usual = {field.name: field.default for field in fields(self)}
        usual_settings = sampler_settings(self.sampler)
        content = {name: value for name, value in asdict(self).items() if value != usual[name]}
        content["settings"] = {name: value for name, value in self.settings.items() if value != usual_settings[name]}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.sampler}-{round(100 * self.prune_rate)}-seed{self.seed}-{digest}"

    @property
    def is_static_scored(self) -> bool:
        """Does the run need scores that are computed before it?"""
        return issubclass(SAMPLERS[self.sampler], StaticScored)

    def make_sampler(self, num_samples: int, scores: Tensor | None = None) -> PruningSampler:
        """The run's sampler for a training set of `num_samples`, with their scores (N,) if it is a static one."""
        given = {"scores": scores} if self.is_static_scored else {}
        return SAMPLERS[self.sampler](num_samples, self.prune_rate, seed=self.seed, **self.settings, **given)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """A spec from plain values; an unknown name is an error that lists the known ones."""
        for name in values:
            check_choice("field of a run", name, [field.name for field in fields(cls)])
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch gave and cost. Seconds are wall-clock; passes count samples.

    `selection_seconds`: selecting the subset and its order. `training_seconds`: forward and backward passes, steps
    and the recording of the losses. `scoring_seconds`: passes over samples made for their scores alone.
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
        for each in fields(self):
            _check_number(each.name, getattr(self, each.name), each.type)
        if self.test_accuracy > 1:
            raise ValueError(f"test_accuracy is {self.test_accuracy}: it is a share, at most 1")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Wall-clock seconds, and passes counted in samples."""

    seconds: float = 0.0
    forward_passes: int = 0
    backward_passes: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_number(each.name, getattr(self, each.name), each.type)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A finished run: what it was, what each epoch gave and cost, what scoring the samples before the training cost,
    and where it was made.

    Raises:
        ValueError: there are more or fewer epochs than the spec has.
    """

    spec: RunSpec
    epochs: list[EpochRecord]
    environment: dict[str, Any]
    scoring: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        if len(self.epochs) != self.spec.epochs:
            raise ValueError(f"it has {len(self.epochs)} of {self.spec.epochs} epochs")

    @property
    def test_accuracy(self) -> float:
        """Of the last epoch, never the best one."""
        return self.epochs[-1].test_accuracy

    def total(self, column: str) -> float:
        """Sum of a column of EpochRecord over the run."""
        return sum(getattr(epoch, column) for epoch in self.epochs)

    @property
    def training(self) -> Cost:
        """Of all that the epochs need: selection, training and scoring within them, without evaluation."""
        return cost_of(self.epochs)

    def to_json(self) -> str:
        """One line a column of the epochs, so that a record reads well and its changes do too."""
        columns = {name: [getattr(epoch, name) for epoch in self.epochs] for name in _columns()}
        lines = ",\n".join(f"    {json.dumps(name)}: {_dumps(values)}" for name, values in columns.items())
        spec = _dumps(asdict(self.spec), indent=2).replace("\n", "\n  ")
        environment = _dumps(self.environment, indent=2).replace("\n", "\n  ")
        scoring = _dumps(asdict(self.scoring))
        parts = f'  "epochs": {{\n{lines}\n  }},\n  "scoring": {scoring},\n  "environment": {environment}'
        return f'{{\n  "spec": {spec},\n{parts}\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The record that `to_json` wrote; anything else raises ValueError, KeyError or TypeError."""
        values = json.loads(text)
        columns = [values["epochs"][name] for name in _columns()]
        if not all(isinstance(column, list) for column in columns):
            raise TypeError("a column of the epochs is no list")
        epochs = [EpochRecord(**dict(zip(_columns(), row, strict=True))) for row in zip(*columns, strict=True)]
        spec, scoring = RunSpec.from_dict(values["spec"]), Cost(**values.get("scoring", {}))
        return cls(spec=spec, epochs=epochs, environment=values["environment"], scoring=scoring)


@dataclass(frozen=True, kw_only=True)
class StaticScores:
    """Scores of all training samples, (N,) float32, computed before training: by what, at what cost, where."""

    spec: RunSpec
    values: Tensor
    cost: Cost
    environment: dict[str, Any]


def cost_of(epochs: list[EpochRecord]) -> Cost:
    """What epochs cost together, without their evaluation."""
    return Cost(
        seconds=sum(each.selection_seconds + each.training_seconds + each.scoring_seconds for each in epochs),
        forward_passes=sum(each.forward_passes for each in epochs),
        backward_passes=sum(each.backward_passes for each in epochs),
    )


def sampler_settings(sampler: str) -> dict[str, Any]:
    """What a sampler takes beside its rate and seed: name -> default."""
    parameters = inspect.signature(SAMPLERS[sampler]).parameters.values()
    return {each.name: each.default for each in parameters if each.name not in GIVEN_BY_THE_RUN}


def check_choice(what: str, value: str, allowed: Any) -> None:
    """Raises ValueError, with the allowed values, if `value` is none of them."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"unknown {what} {value!r}: there are {', '.join(map(str, allowed)) or 'none'}")


def _check_number(name: str, value: Any, kind: type) -> None:
    allowed = int if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value!r}: it must be a finite {kind.__name__} of at least 0")


def _dumps(value: Any, **layout: Any) -> str:
    """As every reader of json understands it: without NaN."""
    return json.dumps(value, allow_nan=False, **layout)


def _columns() -> list[str]:
    return [field.name for field in fields(EpochRecord)]
