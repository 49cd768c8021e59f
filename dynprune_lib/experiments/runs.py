"""What a run is: RunSpec."""

import functools
import hashlib
import inspect
import json
import math
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any, Self

import torch
from torch import Tensor

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.models import MODELS
from dynprune_lib.experiments.optimizers import OPTIMIZERS, SCHEDULES
from dynprune_lib.samplers import Bandit, LastScore, PruningSampler, StaticScored, sampler_class
from dynprune_lib.samplers.checks import checked, setting
from dynprune_lib.scores import REFERENCE_SCORES, SCORES

PRECISIONS = ("float32", "bfloat16")
MAX_SEED = 2**32 - 1  # as in NumPy; torch takes 64 bits, which the seeds of epochs that are made from it need
SCORING_SEEDS = 1000  # seeds from here on are those of models that score samples before training
OTHER_ORIGIN = {"num_samples", "prune_rate", "seed", "shard", "scores", "labels"}  # arguments of samplers, not settings


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Complete description of one training run: two runs with equal specs are the same experiment.

    Args:
        dataset: name of a data set, see `load_dataset`.
        model: name in MODELS.
        sampler: name in SAMPLERS, or "module:Class" for a sampler of your own. Default: "full".
        prune_rate: fraction of the training samples skipped in every pruned epoch, in [0, 1). Default: 0.
        score: name in SCORES of the per-sample score that the sampler receives. Default: "loss".
        rescore: score all samples with a forward pass before each selection, except in the first epoch. Default: False,
            a sample has its score from when it was last trained on.
        trace: number of samples, evenly spaced, whose mean scores are recorded, see `traced_epochs`. Default: 0.
        settings: other arguments of the sampler, such as `{"epsilon": 0.1}`. Default: those of the sampler.
        epochs: number of epochs, at least 1. Default: 16.
        batch_size: samples per step; the last, smaller batch of an epoch is dropped. Default: 128.
        optimizer: name in OPTIMIZERS. Default: "sgd".
        learning_rate: peak of the schedule, above 0. Default: 0.1.
        momentum: of SGD (Nesterov), first beta of AdamW, in [0, 1). Default: 0.9.
        weight_decay: of all parameters, in [0, 1). Default: 5e-4.
        schedule: name in SCHEDULES of the learning-rate schedule over the run's steps. Default: "one-cycle".
        label_smoothing: of the cross-entropy, in [0, 1). Default: 0.
        bias_rate: learning rate of the biases of batch normalisations, as a multiple of `learning_rate`, above 0; their
            weight decay per step is that of the others. Default: 1.
        averaging: decay per step of the exponential average of the weights, which is evaluated in their place, in [0,
            1). Default: 0, no average.
        flip: "random" mirrors each image with probability 1/2, "alternating" in every other epoch that selects it; only
            where the data set allows it. Default: "random".
        pad: padding of random crops in pixels, at least 0. Default: None, the data set's.
        padding: "zeros" or "reflect". Default: "zeros".
        validation: number of training samples, the same for all seeds, held out and evaluated on in place of the test
            set. Default: 0.
        label_noise: fraction of training labels replaced by another one, drawn by the seed, in [0, 1). Default: 0.
        imbalance: size of the first class over that of the last, at least 1, see `make_imbalanced`. Default: 1.
        precision: name in PRECISIONS, of the forward and backward pass; a device without native bfloat16 uses and
            records float32. Default: "float32".
        alone: train only while no other run uses the device, for timings. Default: False.
        seed: of initialisation, order, augmentation and the sampler, in [0, 2**32). Default: 0.
        init_seed: of the initialisation alone, in place of `seed`. Default: None.

    `validate` checks the other fields before training.

    Raises:
        SpecError: there is no such sampler.

    Example:
        >>> spec = RunSpec(dataset="digits", model="tiny", sampler="ucb", prune_rate=0.5)
        >>> spec.settings["c"], spec.name
        (1.0, 'ucb-50-seed0-bb4bb2337969')
    """

    dataset: str
    model: str
    sampler: str = "full"
    prune_rate: float = setting(0.0, "[0, 1)")
    score: str = setting("loss", lambda: SCORES | REFERENCE_SCORES)
    rescore: bool = setting(False)
    trace: int = setting(0, "[0, inf)")
    settings: dict[str, Any] = field(default_factory=dict)
    epochs: int = setting(16, "[1, inf)")
    batch_size: int = setting(128, "[1, inf)")
    optimizer: str = setting("sgd", lambda: OPTIMIZERS)
    learning_rate: float = setting(0.1, "(0, inf)")
    momentum: float = setting(0.9, "[0, 1)")
    weight_decay: float = setting(5e-4, "[0, 1)")
    schedule: str = setting("one-cycle", lambda: SCHEDULES)
    label_smoothing: float = setting(0.0, "[0, 1)")
    bias_rate: float = setting(1.0, "(0, inf)")
    averaging: float = setting(0.0, "[0, 1)")
    flip: str = setting("random", lambda: ("random", "alternating"))
    pad: int | None = setting(None, "[0, inf)")
    padding: str = setting("zeros", lambda: ("zeros", "reflect"))
    validation: int = setting(0, "[0, inf)")
    label_noise: float = setting(0.0, "[0, 1)")
    imbalance: float = setting(1.0, "[1, inf)")
    precision: str = setting("float32", lambda: PRECISIONS)
    alone: bool = setting(False)
    seed: int = setting(0, f"[0, {MAX_SEED}]")
    init_seed: int | None = setting(None, f"[0, {MAX_SEED}]")

    def __post_init__(self) -> None:
        """Write out defaults and new names: equal runs are equal specs."""
        try:
            sampler, usual = sampler_class(self.sampler), sampler_settings(self.sampler)
        except ValueError as error:
            raise SpecError(str(error)) from error
        given = {sampler.former_names.get(name, name): value for name, value in self.settings.items()}
        for name, value in given.items():
            if isinstance(usual.get(name), float) and type(value) is int:
                given[name] = float(value)  # 2 and 2.0 are one run, so they have one name
        object.__setattr__(self, "settings", usual | given)
        if sampler.required_score and self.score == "loss":
            object.__setattr__(self, "score", sampler.required_score)

    @functools.cached_property
    def name(self) -> str:
        """Name in the store: sampler, rate, seed, and a hash of what differs from the defaults, settings by their
        former names. A field that is added later changes no name."""
        return self._name_at(self.seed)

    @functools.cached_property
    def seedless_name(self) -> str:
        """Name of the run at seed 0."""
        return self._name_at(0)

    def _name_at(self, seed: int) -> str:
        values = {field.name: getattr(self, field.name) for field in fields(self)} | {"seed": seed}
        usual = {field.name: field.default for field in fields(self)}
        content = {name: value for name, value in values.items() if value != usual[name]}
        usual_settings = sampler_settings(self.sampler)
        former = {new: old for old, new in sampler_class(self.sampler).former_names.items()}
        varied = {name: value for name, value in self.settings.items() if value != usual_settings.get(name)}
        content["settings"] = {former.get(name, name): value for name, value in varied.items()}
        if self.is_static_scored and 0 < seed < SCORING_SEEDS:
            content["scoring_seed"] = SCORING_SEEDS * (
                1 + seed
            )  # up to version 0.2, all seeds had the scores of seed 0
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
        sampler = self.sampler.rpartition(":")[2]  # the class alone, of a sampler of the user's
        return f"{sampler}-{round(100 * self.prune_rate)}-seed{seed}-{digest}"

    @property
    def traced_epochs(self) -> list[int]:
        """The epochs, counted from 1, after which the scores of the traced samples are recorded.

        Example:
            >>> RunSpec(dataset="digits", model="tiny", epochs=10).traced_epochs
            [1, 2, 4, 8, 10]
        """
        return [2**power for power in range(self.epochs.bit_length()) if 2**power < self.epochs] + [self.epochs]

    @property
    def is_static_scored(self) -> bool:
        """Whether the run needs scores that are computed before training."""
        return issubclass(sampler_class(self.sampler), StaticScored)

    @property
    def scoring_seed(self) -> int:
        """Seed of the first scoring model; the others count on. No run is scored by a model of its own seed."""
        return SCORING_SEEDS * (1 + self.seed)

    def make_sampler(
        self, num_samples: int, scores: Tensor | None = None, labels: Tensor | None = None
    ) -> PruningSampler:
        """Return the run's sampler for N samples; `scores` (N,) and `labels` (N,) int64 go to the samplers that use
        them."""
        sampler = sampler_class(self.sampler)
        given = self.settings | ({"scores": scores} if self.is_static_scored else {})
        if "labels" in inspect.signature(sampler).parameters:
            given |= {"labels": labels}
        try:
            return sampler(num_samples, self.prune_rate, seed=self.seed, **given)
        except ValueError as error:
            raise SpecError(str(error)) from error

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the run of plain values, validated."""
        for name in values:
            check_choice("field of a run", name, [field.name for field in fields(cls)])
        spec = cls(**values)
        validate(spec)
        return spec


def validate(spec: RunSpec) -> None:
    """Raise SpecError if a field or a setting is not allowed, or they do not go together."""
    sampler, usual = sampler_class(spec.sampler), sampler_settings(spec.sampler)
    try:
        if not isinstance(spec.dataset, str):
            raise SpecError(f"dataset is {spec.dataset!r}: it must be the name of a data set")
        check_choice("model", spec.model, MODELS)
        for each in fields(spec):
            if "allowed" in each.metadata:
                checked(each, getattr(spec, each.name))
        for name, value in spec.settings.items():
            check_choice(f"setting of {spec.sampler}", name, usual)
            if value is inspect.Parameter.empty:
                raise SpecError(f"{name} of {spec.sampler} has no default: pass it as a setting")
        if sampler.required_score not in (None, spec.score):
            raise SpecError(f"score is {spec.score}: {spec.sampler} needs {sampler.required_score}")
        if spec.score in REFERENCE_SCORES and (spec.rescore or not sampler.required_score):
            raise SpecError(f"score is {spec.score}: it needs a sampler made for it, without rescore")
        for name, samplers in (("rescore", (Bandit, LastScore)), ("trace", Bandit)):
            if getattr(spec, name) and not issubclass(sampler, samplers):
                raise SpecError(f"{name} is {getattr(spec, name)}: {spec.sampler} does not use scores from training")
        zeros = torch.zeros(min(1_000_000, math.ceil(1_000 / (1 - spec.prune_rate))))  # a small share of them is some
        spec.make_sampler(len(zeros), zeros, zeros.long())  # its constructor checks the settings
    except ValueError as error:
        raise SpecError(str(error)) from error
    for name, value in spec.settings.items():
        if not _survives_json(value):
            raise SpecError(
                f"{name} of {spec.sampler} is {value!r}: it must be JSON, such as a number, a text or a list"
            )
    latest = dict.fromkeys(("period", "at_epoch"), spec.epochs)
    latest |= dict.fromkeys(("warm_up", "anneal_from", "random_from"), spec.epochs - 1)
    for name, last in latest.items():
        if (spec.settings.get(name) or 0) > last:
            raise SpecError(
                f"{name} of {spec.sampler} is {spec.settings[name]}: it must be at most {last} in {spec.epochs} epochs"
            )


def sampler_settings(sampler: str) -> dict[str, Any]:
    """Return the settings of a sampler with their defaults."""
    return dict(_defaults(sampler_class(sampler)))  # type: ignore[arg-type]  # mypy takes the class for an instance


@functools.cache  # every spec asks several times, and profiles have hundreds of specs
def _defaults(sampler: type[PruningSampler]) -> dict[str, Any]:
    parameters = inspect.signature(sampler).parameters.values()
    named = [each for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return {each.name: each.default for each in named if each.name not in OTHER_ORIGIN}


def _survives_json(value: Any) -> bool:
    try:
        return json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        return False


def check_choice(what: str, value: str, allowed: Collection[str]) -> None:
    """Raise SpecError, with the allowed values, if `value` is not one of them."""
    if not isinstance(value, str) or value not in allowed:
        raise SpecError(f"unknown {what} {value!r}: there are {', '.join(map(str, allowed)) or 'none'}")
