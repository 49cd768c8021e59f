"""Train a run: what it is built of, its epochs, and how an interrupted run resumes."""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dynprune_lib.errors import SpecError, TrainingDiverged
from dynprune_lib.experiments.augment import alternating_flips, augment, normalize, prepare
from dynprune_lib.experiments.data import ImageData, TensorData
from dynprune_lib.experiments.environment import describe_environment
from dynprune_lib.experiments.evaluation import describe_predictions, evaluate, score_all
from dynprune_lib.experiments.models import WHITENED, Whitening, build_model
from dynprune_lib.experiments.observers import Contents, Observer, Selections, Trace
from dynprune_lib.experiments.optimizers import OPTIMIZERS, SCHEDULES, per_sample_losses
from dynprune_lib.experiments.precision import autocast
from dynprune_lib.experiments.records import Cost, EpochRecord, RunRecord, StaticScores
from dynprune_lib.experiments.runs import RunSpec, validate
from dynprune_lib.experiments.store import Store
from dynprune_lib.samplers import PruningSampler
from dynprune_lib.scores import REFERENCE_SCORES, SCORES

SAVING = 0.05  # largest share of the time that is spent on checkpoints
OnEpoch = Callable[[EpochRecord], None]


def train(
    spec: RunSpec,
    data: TensorData,
    store: Store,
    on_epoch: OnEpoch | None = None,
    jobs: int = 1,
    scores: StaticScores | None = None,
) -> RunRecord:
    """Train a run to its end, from its last checkpoint if there is one, and save its record; see `make_run`."""
    environment = describe_environment(spec, data, jobs)
    state = TrainState(spec, data, scores.values if scores else None)
    conditions = conditions_of(environment)
    if saved := store.load_checkpoint(spec, conditions):
        with store.reading_checkpoint(spec):
            state.load_state_dict(saved)
    train_epochs(state, spec.epochs, lambda: store.save_checkpoint(spec, state.state_dict(), conditions), on_epoch)
    record = RunRecord(
        spec=spec,
        epochs=state.epochs,
        environment=environment,
        scoring=scores.cost if scores else Cost(),
        last_epoch=describe_predictions(state.evaluated, data, spec.precision) if data.classes else None,
        **{name: value for observer in state.observers for name, value in observer.summary().items()},
    )
    store.save(record, {name: array for observer in state.observers for name, array in observer.arrays().items()})
    return record


# What a run is built of ----------------------------------------------------------------------------------------------


class TrainState:
    """Everything that a run needs and changes, before its first epoch; a checkpoint is its `state_dict` after one.

    `average` is that of the weights with `averaging`, `reference` the model whose logits some scores need.

    Args:
        spec: what to run.
        data: what it trains on.
        scores: (N,) of a static sampler. Default: None.
        observer: one in addition to those of the record. Default: None.
    """

    def __init__(
        self, spec: RunSpec, data: TensorData, scores: Tensor | None = None, observer: Observer | None = None
    ) -> None:
        check_fit(spec, data)
        self.spec, self.data = spec, data
        self.sampler = spec.make_sampler(len(data.train), scores, data.train.labels)
        if spec.is_static_scored:
            _warn_of_missing_classes(spec, self.sampler, data)
        self.model = _initialised(spec, data)
        self.optimizer = OPTIMIZERS[spec.optimizer](self.model, spec)
        self.schedule = SCHEDULES[spec.schedule](self.optimizer, self.sampler.total_steps(spec.epochs, spec.batch_size))
        self.average = _average(self.model, spec.averaging) if spec.averaging else None
        self.reference = _average(self.model, spec.settings["decay"]) if spec.score in REFERENCE_SCORES else None
        self.selections = Selections(len(data.train))
        contents = [Contents(data)] if spec.label_noise or spec.imbalance > 1 else []
        trace = [Trace(spec.trace, spec.traced_epochs)] if spec.trace else []
        self.observers = [self.selections, *contents, *trace, *([observer] if observer else [])]
        self.epochs: list[EpochRecord] = []

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated and that scores samples: the average of the weights where there is one."""
        return self.model if self.average is None else self.average.module

    def _parts(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in ("model", "optimizer", "schedule", "sampler")}
        named |= {name: part for name in ("average", "reference") if (part := getattr(self, name)) is not None}
        return named | {type(observer).__name__: observer for observer in self.observers}

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return parts | {"epochs": [asdict(epoch) for epoch in self.epochs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.epochs = [EpochRecord(**epoch) for epoch in state["epochs"]]


def _initialised(spec: RunSpec, data: TensorData) -> nn.Module:
    """Return the model of a run on its device."""
    init_seed = spec.seed if spec.init_seed is None else spec.init_seed
    first = prepare(data.train.inputs[:WHITENED], data).to("cpu")
    model = build_model(spec.model, first[:1], max(1, len(data.classes)), init_seed)
    for layer in model.modules():
        if isinstance(layer, Whitening):
            layer.fit(first)
    return model.to(data.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _average(model: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def check_fit(spec: RunSpec, data: TensorData) -> None:
    """Raise SpecError if the run is not allowed, or keeps too few samples of the data, or needs classes."""
    validate(spec)
    if not data.classes and (spec.is_static_scored or spec.score != "loss" or spec.label_smoothing):
        raise SpecError(
            f"{data.name} is a regression: it needs the score loss, no label smoothing and a sampler without static"
            f" scores, not {spec.score}, {spec.label_smoothing} and {spec.sampler}"
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


def conditions_of(environment: dict[str, Any]) -> dict[str, str]:
    """Return what must be the same for an interrupted run to go on: its record names one data set, one precision."""
    return {name: environment[name] for name in ("data_md5", "precision")}


# Its epochs ----------------------------------------------------------------------------------------------------------


def train_epochs(state: TrainState, epochs: int, save: Callable[[], None], on_epoch: OnEpoch | None = None) -> None:
    """Train until `epochs` epochs are complete.

    `save` is called after each unless saving has taken too much of the time, and when `on_epoch` raises.
    """
    begun, saving = time.perf_counter(), 0.0
    for epoch in range(len(state.epochs), epochs):
        state.epochs.append(train_epoch(state, epoch))
        started = time.perf_counter()
        if saving <= SAVING * (started - begun):
            save()
            saving += time.perf_counter() - started
        try:
            if on_epoch:
                on_epoch(state.epochs[-1])
        except BaseException:
            save()
            raise


def train_epoch(state: TrainState, epoch: int) -> EpochRecord:
    """Train one epoch on the subset that the sampler selects, and evaluate the model on the test set."""
    spec, data, sampler = state.spec, state.data, state.sampler
    begun, selects = _now(data.device), epoch == 0 or sampler.selects_at(epoch)
    # an untrained model knows nothing of the samples: the first epoch is not re-scored
    rescored = rescore(state) if spec.rescore and epoch and selects else 0
    start = _now(data.device)
    sampler.set_epoch(epoch)
    subset, order, batch_size = sampler.subset(), sampler.indices(), spec.batch_size
    for observer in state.observers:
        observer.begin_epoch(subset, sampler.wanted if selects else None)
    number = max(1, len(order) // batch_size)  # full batches only: one fixed shape; a short epoch has a short one
    batches = order.to(data.device).split(batch_size)[:number]
    selected = _now(data.device)
    losses = train_steps(state, batches, epoch)
    trained = _now(data.device)
    if len(bad := (~torch.isfinite(losses)).nonzero()):
        step = int(bad[0])
        raise TrainingDiverged(
            f"the loss is {losses[step].item()} at step {step} of epoch {epoch} (both count from 0):"
            " try a lower learning_rate"
        )
    for observer in state.observers:
        observer.end_epoch(epoch, sampler)
    test_loss, test_accuracy = evaluate(state.evaluated, data.test, data, spec.precision)
    if not math.isfinite(test_loss):  # the losses of the steps do not show what the last step did to the weights
        raise TrainingDiverged(f"the test loss is {test_loss} after epoch {epoch}: try a lower learning_rate")
    evaluated = _now(data.device)
    passes = sum(map(len, batches))
    return EpochRecord(
        train_loss=round(losses.mean().item(), 6),
        test_loss=round(test_loss, 6),
        test_accuracy=test_accuracy,
        samples_kept=len(subset),
        steps=len(batches),
        forward_passes=passes * (1 if state.reference is None else 2) + rescored,
        backward_passes=passes,
        selection_seconds=round(selected - start, 6),
        training_seconds=round(trained - selected, 6),
        scoring_seconds=round(start - begun, 6) if rescored else 0.0,
        evaluation_seconds=round(evaluated - trained, 6),
    )


def rescore(state: TrainState) -> int:
    """Pass the scores of all training samples, without augmentation, to the sampler; return the forward passes."""
    data, spec = state.data, state.spec
    index = torch.arange(len(data.train), device=data.device)
    score = SCORES[spec.score] if data.classes else per_sample_losses
    state.sampler.observe(index, score_all(state.evaluated, data, spec.precision, score))
    return len(index)


def train_steps(state: TrainState, batches: tuple[Tensor, ...], epoch: int) -> Tensor:
    """Train on batches of indices, without synchronising the device; return the losses (steps,), on the device."""
    spec, data = state.spec, state.data
    # seeded by the epoch, so that a resumed run needs no random state of the interrupted one
    generator = torch.Generator(data.device).manual_seed(spec.seed * 100_003 + epoch)
    prepared = _preparation(state, generator)
    averages = [average for average in (state.average, state.reference) if average is not None]
    state.model.train()
    step_losses = []
    for index, ticks in zip(batches, _ticks(state, epoch, len(batches)), strict=True):
        inputs, labels = prepared(index), data.train.labels[index]
        with autocast(data.device, spec.precision):
            outputs = state.model(inputs)
        losses = per_sample_losses(outputs, labels, spec.label_smoothing)
        if spec.rescore:
            loss = state.sampler.mean_loss(index, losses)
        else:
            scores = _scores(state, inputs, outputs.detach(), labels)
            loss = state.sampler.update(index, losses, scores)
            for observer in state.observers:
                observer.after_batch(index, losses.detach() if scores is None else scores)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        for _ in range(ticks):
            state.schedule.step()
        for average in averages:
            average.update_parameters(state.model)
        step_losses.append(loss.detach())
    return torch.stack(step_losses)


def _ticks(state: TrainState, epoch: int, steps: int) -> list[int]:
    """Return by how many steps the schedule goes on after each optimizer step: one each if the epochs have one length.

    Otherwise all steps of the longest epoch pass in every epoch: with 2 steps of 5, the schedule goes on by 2 and by 3.
    """
    if state.sampler.has_fixed_length:
        return [1] * steps
    longest = state.sampler.greatest_length(epoch) // state.spec.batch_size
    return [longest * (step + 1) // steps - longest * step // steps for step in range(steps)]


def _scores(state: TrainState, inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor | None:
    """Return the scores of a batch; None if they are the losses, which are computed anyway, unless smoothed."""
    spec = state.spec
    if state.reference is not None:
        with torch.no_grad(), autocast(state.data.device, spec.precision):
            return REFERENCE_SCORES[spec.score](logits, labels, state.reference.module(inputs))
    return None if spec.score == "loss" and not spec.label_smoothing else SCORES[spec.score](logits, labels)


def _preparation(state: TrainState, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Return a function from the indices of a batch to its inputs; images are augmented and normalised."""
    spec, data = state.spec, state.data
    if not isinstance(data, ImageData):
        return lambda index: data.train.inputs[index]
    flip: bool | Tensor = data.flip
    if spec.flip == "alternating" and data.flip:
        flip = alternating_flips(spec.seed, state.selections.counts).to(data.device)
    pad = data.pad if spec.pad is None else spec.pad

    def images(index: Tensor) -> Tensor:
        mirrored = flip[index] if isinstance(flip, Tensor) else flip
        return normalize(augment(data.train.images[index], pad, mirrored, generator, spec.padding), data)

    return images


def _now(device: torch.device) -> float:
    """Return the time in seconds, after waiting for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
