"""One training run: its state, its loop, and how it resumes."""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dynprune_lib.distributed import average, rank, world_size
from dynprune_lib.errors import SpecError, TrainingDiverged
from dynprune_lib.experiments.augment import alternating_flips, augment, normalize
from dynprune_lib.experiments.checkpoint import ThrottledCheckpoint
from dynprune_lib.experiments.data import ImageData
from dynprune_lib.experiments.environment import describe_environment
from dynprune_lib.experiments.evaluation import evaluate, score_all
from dynprune_lib.experiments.models import build_model
from dynprune_lib.experiments.optimizers import OPTIMIZERS
from dynprune_lib.experiments.precision import autocast
from dynprune_lib.experiments.records import Cost, EpochRecord, RunRecord, StaticScores
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.schedules import SCHEDULES
from dynprune_lib.experiments.speedrun import WHITENED, Whitening
from dynprune_lib.experiments.store import Store
from dynprune_lib.samplers import PruningSampler
from dynprune_lib.scores import REFERENCE_SCORES, SCORES

OnEpoch = Callable[[RunSpec, EpochRecord], None]
CHECKPOINTED = ("model", "optimizer", "schedule", "sampler", "average", "reference")


@dataclass
class TrainState:
    """Everything that a run needs and changes; a checkpoint is its `state_dict` after an epoch.

    Args:
        spec: what to run.
        data: the data set, on the device to train on.
        model: the model.
        forward: the model, wrapped if several processes train it together.
        optimizer: of its parameters.
        schedule: of the learning rate, one step per optimizer step.
        sampler: selects the samples of every epoch.
        selections: (N,) int32 on the CPU, the number of epochs in which each sample was selected.
        epochs: records of the finished epochs.
        trace: one (samples,) float16 tensor per epoch, the mean scores of the traced samples.
        average: exponential average of the weights; None without `averaging`.
        reference: another one, whose logits the score needs; None for scores of the model alone.
    """

    spec: RunSpec
    data: ImageData
    model: nn.Module
    forward: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    sampler: PruningSampler
    selections: Tensor
    epochs: list[EpochRecord] = field(default_factory=list)
    trace: list[Tensor] = field(default_factory=list)
    average: AveragedModel | None = None
    reference: AveragedModel | None = None

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated and that scores samples: the average of the weights where there is one."""
        return self.model if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values; under torch.distributed, a collective call."""
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


def train(
    spec: RunSpec,
    data: ImageData,
    store: Store,
    on_epoch: OnEpoch | None = None,
    jobs: int = 1,
    scores: StaticScores | None = None,
) -> RunRecord:
    """Train a run to its end, from its last checkpoint if there is one, and save its record.

    With the same number of threads on the same device, an interrupted and resumed run ends with the same record as an
    uninterrupted one.

    Args:
        spec: what to run.
        data: the data set of the spec, on the device to train on.
        store: for checkpoints and the record.
        on_epoch: called after every epoch; what it raises interrupts the run without losing the epoch. Default: None.
        jobs: number of runs that share the device, for the record. Default: 1.
        scores: of a static sampler, see `static_scores`; their cost is charged to the run. Default: None.

    Returns:
        The record, on every rank.

    Raises:
        SpecError: the spec does not fit the data; raised before any training.
        StoreError: the checkpoint cannot be resumed, or nothing can be written.
        TrainingDiverged: a loss is not finite; the message says at which step.
    """
    environment = describe_environment(spec, data, jobs)
    state = build_train_state(spec, data, scores.values if scores else None)
    conditions = conditions_of(environment)
    if saved := store.load_checkpoint(spec, conditions):
        with store.reading_checkpoint(spec):
            state.load_state_dict(saved)

    def save() -> None:
        saved = state.state_dict()  # a collective call: every rank makes it, the first one writes
        if rank() == 0:
            store.save_checkpoint(spec, saved, conditions)

    train_epochs(state, spec.epochs, save, on_epoch)
    scoring = scores.cost if scores else Cost()
    record = RunRecord(spec=spec, epochs=state.epochs, environment=environment, scoring=scoring)
    arrays = {"selections": _packed(state.selections)}
    if state.trace:
        arrays["trace"] = torch.stack(state.trace).numpy()
    if rank() == 0:
        store.save(record, arrays)
    return record


def train_epochs(state: TrainState, epochs: int, save: Callable[[], None], on_epoch: OnEpoch | None = None) -> None:
    """Train until `epochs` epochs are complete.

    Args:
        state: trained in place.
        epochs: total number, including those that are complete already.
        save: called after an epoch unless saving has taken too much of the time, and when `on_epoch` raises.
        on_epoch: called after every epoch. Default: None.
    """
    checkpoint = ThrottledCheckpoint(save)
    for epoch in range(len(state.epochs), epochs):
        state.epochs.append(train_epoch(state, epoch))
        checkpoint()
        try:
            if on_epoch:
                on_epoch(state.spec, state.epochs[-1])
        except BaseException:
            checkpoint.now()
            raise


def build_train_state(
    spec: RunSpec, data: ImageData, scores: Tensor | None = None, sampler: PruningSampler | None = None
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
    check_size(spec, data)
    if sampler is None:
        sampler = spec.make_sampler(len(data.train), scores, data.train.labels)
        if spec.is_static_scored:
            _warn_of_missing_classes(spec, sampler, data)
    height, width, channels = data.train.images.shape[1:]
    model = build_model(spec.model, (height, width, channels), len(data.classes), spec.seed)
    for layer in model.modules():
        if isinstance(layer, Whitening):
            layer.fit(normalize(data.train.images[:WHITENED], data).to("cpu"))
    model = model.to(data.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = OPTIMIZERS[spec.optimizer](model, spec)
    steps = sampler.total_steps(spec.epochs, _batch_size(spec))
    return TrainState(
        spec=spec,
        data=data,
        model=model,
        forward=DistributedDataParallel(model) if world_size() > 1 else model,
        optimizer=optimizer,
        schedule=SCHEDULES[spec.schedule](optimizer, steps),
        sampler=sampler,
        selections=torch.zeros(len(data.train), dtype=torch.int32),
        average=_average(model, spec.averaging) if spec.averaging else None,
        reference=_average(model, spec.settings["decay"]) if spec.score in REFERENCE_SCORES else None,
    )


def _average(model: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def train_epoch(state: TrainState, epoch: int) -> EpochRecord:
    """Train one epoch on the subset that the sampler selects, and evaluate the model on the test set."""
    spec, data, sampler = state.spec, state.data, state.sampler
    begun = _now(data.device)
    # an untrained model knows nothing of the samples: the first epoch is not re-scored
    rescored = rescore(state) if spec.rescore and epoch and sampler.selects_at(epoch) else 0
    start = _now(data.device)
    sampler.set_epoch(epoch)
    subset, order, batch_size = sampler.subset(), sampler.indices(), _batch_size(spec)
    state.selections[subset] += 1
    batches = order.to(data.device).split(batch_size)[: len(order) // batch_size]  # full batches only: one fixed shape
    selected = _now(data.device)
    losses = train_steps(state, batches, epoch)
    trained = _now(data.device)
    _check_finite(losses, epoch)
    if spec.trace:
        step = max(1, len(data.train) // spec.trace)
        state.trace.append(sampler.per_sample_state()["mean"][::step][: spec.trace].half().cpu())
    test_loss, test_accuracy = evaluate(state.evaluated, data.test, data, spec.precision)
    if not math.isfinite(test_loss):  # the losses of the steps do not show what the last step did to the weights
        raise TrainingDiverged(f"the test loss is {test_loss} after epoch {epoch}: try a lower learning_rate")
    evaluated = _now(data.device)
    passes = len(batches) * spec.batch_size  # of all ranks
    return EpochRecord(
        train_loss=round(average(losses.mean()).item(), 6),
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
    state.sampler.observe(index, score_all(state.evaluated, data, spec.precision, SCORES[spec.score]))
    return len(index)


def train_steps(state: TrainState, batches: tuple[Tensor, ...], epoch: int) -> Tensor:
    """Train on some batches, without synchronising the device.

    Args:
        state: trained in place.
        batches: (B,) indices each, on the device.
        epoch: decides the augmentation, together with seed and rank.

    Returns:
        (steps,) losses, on the device.
    """
    spec, data = state.spec, state.data
    # seeded by the epoch, so that a resumed run needs no random state of the interrupted one
    generator = torch.Generator(data.device).manual_seed(spec.seed * 100_003 + epoch + rank() * 1_000_000_007)
    flip, pad = _flips(state), data.pad if spec.pad is None else spec.pad
    state.model.train()
    step_losses = []
    for index in batches:
        mirrored = flip[index] if isinstance(flip, Tensor) else flip
        images = normalize(augment(data.train.images[index], pad, mirrored, generator, spec.padding), data)
        labels = data.train.labels[index]
        with autocast(data.device, spec.precision):
            logits = state.forward(images)
        losses = F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=spec.label_smoothing)
        if spec.rescore:
            loss = state.sampler.mean_loss(index, losses)
        else:
            loss = state.sampler.update(index, losses, _scores(state, images, logits.detach(), labels))
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.schedule.step()
        for averaged in (state.average, state.reference):
            if averaged is not None:
                averaged.update_parameters(state.model)
        step_losses.append(loss.detach())
    return torch.stack(step_losses)


def _scores(state: TrainState, images: Tensor, logits: Tensor, labels: Tensor) -> Tensor | None:
    """Return the scores of a batch; None if they are the losses, which are computed anyway, unless smoothed."""
    spec = state.spec
    if state.reference is not None:
        with torch.no_grad(), autocast(state.data.device, spec.precision):
            return REFERENCE_SCORES[spec.score](logits, labels, state.reference.module(images))
    return None if spec.score == "loss" and not spec.label_smoothing else SCORES[spec.score](logits, labels)


def _flips(state: TrainState) -> bool | Tensor:
    if state.spec.flip == "alternating" and state.data.flip:
        return alternating_flips(state.spec.seed, state.selections).to(state.data.device)
    return state.data.flip


def check_size(spec: RunSpec, data: ImageData) -> None:
    """Raise SpecError if too few samples are kept for a batch or for the classes, or ranks cannot share a batch."""
    if spec.batch_size % world_size():
        raise SpecError(f"batch_size {spec.batch_size} cannot be shared equally by {world_size()} processes")
    kept = round((1 - spec.prune_rate) * len(data.train))
    for needed, what in ((len(data.classes), "one sample per class, "), (spec.batch_size, "one batch of ")):
        if kept < needed:
            raise SpecError(
                f"prune_rate {spec.prune_rate} keeps {kept} of {len(data.train)} samples, fewer than {what}{needed}:"
                " lower the rate" + (" or the batch size" if "batch" in what else "")
            )


def _warn_of_missing_classes(spec: RunSpec, sampler: PruningSampler, data: ImageData) -> None:
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


def _batch_size(spec: RunSpec) -> int:
    return spec.batch_size // world_size()


def _check_finite(losses: Tensor, epoch: int) -> None:
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step = int(bad[0])
        raise TrainingDiverged(
            f"the loss is {losses[step].item()} at step {step} of epoch {epoch} (both count from 0):"
            " try a lower learning_rate"
        )


def _packed(selections: Tensor) -> np.ndarray:
    """Return the counts in the smallest unsigned type that holds them."""
    return selections.numpy().astype(np.min_scalar_type(int(selections.max())))


def _now(device: torch.device) -> float:
    """Return the time in seconds, after waiting for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
