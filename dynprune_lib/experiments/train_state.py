"""The state of a run: what it needs and changes, and what a checkpoint saves."""

import warnings
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.absences import Absences
from dynprune_lib.experiments.augment import prepare
from dynprune_lib.experiments.composition import CompositionCounter
from dynprune_lib.experiments.data import TensorData
from dynprune_lib.experiments.models import build_model
from dynprune_lib.experiments.optimizers import OPTIMIZERS
from dynprune_lib.experiments.records import EpochRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.schedules import SCHEDULES
from dynprune_lib.experiments.speedrun import WHITENED, Whitening
from dynprune_lib.samplers import PruningSampler
from dynprune_lib.scores import REFERENCE_SCORES

CHECKPOINTED = ("model", "optimizer", "schedule", "sampler", "average", "reference", "absences", "composition")


@dataclass
class TrainState:
    """Everything that a run needs and changes; a checkpoint is its `state_dict` after an epoch.

    Args:
        spec: what to run.
        data: the data set, on the device to train on.
        model: the model.
        optimizer: of its parameters.
        schedule: of the learning rate, one step per optimizer step.
        sampler: selects the samples of every epoch.
        selections: (N,) int32 on the CPU, the number of epochs in which each sample was selected.
        absences: how long samples are left out.
        epochs: records of the finished epochs.
        trace: one (samples,) float16 tensor per traced epoch, the mean scores of the traced samples.
        average: exponential average of the weights; None without `averaging`.
        reference: another one, whose logits the score needs; None for scores of the model alone.
        composition: of the subsets; None for data with clean labels and no rare classes.
    """

    spec: RunSpec
    data: TensorData
    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    sampler: PruningSampler
    selections: Tensor
    absences: Absences
    epochs: list[EpochRecord] = field(default_factory=list)
    trace: list[Tensor] = field(default_factory=list)
    average: AveragedModel | None = None
    reference: AveragedModel | None = None
    composition: CompositionCounter | None = None

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated and that scores samples: the average of the weights where there is one."""
        return self.model if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values."""
        parts = {name: getattr(self, name).state_dict() for name in CHECKPOINTED if getattr(self, name) is not None}
        epochs = [asdict(epoch) for epoch in self.epochs]
        return parts | {"selections": self.selections, "epochs": epochs, "trace": self.trace}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        for name in CHECKPOINTED:
            if (part := getattr(self, name)) is not None:
                part.load_state_dict(state[name])
        self.selections, self.trace = state["selections"], state["trace"]
        self.epochs = [EpochRecord(**epoch) for epoch in state["epochs"]]


def build_train_state(
    spec: RunSpec, data: TensorData, scores: Tensor | None = None, sampler: PruningSampler | None = None
) -> TrainState:
    """Return the state of a run before its first epoch.

    Args:
        spec: what to run.
        data: the data set, on the device to train on.
        scores: (N,) static scores of a static sampler. Default: None.
        sampler: replaces the sampler of the spec. Default: None.

    Raises:
        SpecError: the spec does not fit the data.
    """
    check_fit(spec, data)
    if sampler is None:
        sampler = spec.make_sampler(len(data.train), scores, data.train.labels)
        if spec.is_static_scored:
            _warn_of_missing_classes(spec, sampler, data)
    init_seed = spec.seed if spec.init_seed is None else spec.init_seed
    first = prepare(data.train.inputs[:WHITENED], data).to("cpu")
    model = build_model(spec.model, first[:1], max(1, len(data.classes)), init_seed)
    for layer in model.modules():
        if isinstance(layer, Whitening):
            layer.fit(first)
    model = model.to(data.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = OPTIMIZERS[spec.optimizer](model, spec)
    steps = sampler.total_steps(spec.epochs, spec.batch_size)
    return TrainState(
        spec=spec,
        data=data,
        model=model,
        optimizer=optimizer,
        schedule=SCHEDULES[spec.schedule](optimizer, steps),
        sampler=sampler,
        selections=torch.zeros(len(data.train), dtype=torch.int32),
        absences=Absences(len(data.train)),
        average=_average(model, spec.averaging) if spec.averaging else None,
        reference=_average(model, spec.settings["decay"]) if spec.score in REFERENCE_SCORES else None,
        composition=CompositionCounter(data) if spec.label_noise or spec.imbalance > 1 else None,
    )


def _average(model: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def check_fit(spec: RunSpec, data: TensorData) -> None:
    """Raise SpecError if the run does not fit the data.

    Too few samples are kept for a batch or for the classes, or the run needs classes that a regression does not have.
    """
    if not data.classes and (spec.is_static_scored or spec.score != "loss" or spec.label_smoothing):
        raise SpecError(
            f"{data.name} is a regression, which has no classes: choose the score loss, no label smoothing, and a"
            f" sampler without static scores, not {spec.sampler}, {spec.score} and {spec.label_smoothing}"
        )
    kept = round((1 - spec.prune_rate) * len(data.train))
    for needed, what in ((len(data.classes), "one sample per class, "), (spec.batch_size, "one batch of ")):
        if kept < needed:
            raise SpecError(
                f"prune_rate {spec.prune_rate} keeps {kept} of {len(data.train)} samples, fewer than {what}{needed}:"
                " lower the rate" + (" or the batch size" if "batch" in what else "")
            )


def _warn_of_missing_classes(spec: RunSpec, sampler: PruningSampler, data: TensorData) -> None:
    counts = torch.bincount(data.train.labels.cpu()[sampler.subset()], minlength=len(data.classes))
    missing = [name for name, count in zip(data.classes, counts.tolist(), strict=True) if count == 0]
    if missing:
        warnings.warn(
            f"{spec.sampler} at prune_rate {spec.prune_rate} keeps no sample of the classes {', '.join(missing)}:"
            " the model cannot learn them",
            stacklevel=3,
        )
