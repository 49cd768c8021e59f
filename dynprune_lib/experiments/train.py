"""One training run: the loop, its evaluation, what it costs, and going on where it was interrupted."""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from dynprune_lib.distributed import average, broadcast_flag, rank, world_size
from dynprune_lib.errors import TrainingDiverged
from dynprune_lib.experiments.augment import augment, normalize
from dynprune_lib.experiments.data import ImageData
from dynprune_lib.experiments.environment import describe_environment
from dynprune_lib.experiments.evaluation import evaluate, score_all
from dynprune_lib.experiments.models import build_model
from dynprune_lib.experiments.precision import autocast, used_precision
from dynprune_lib.experiments.runs import Cost, EpochRecord, RunRecord, RunSpec, StaticScores
from dynprune_lib.experiments.store import Store
from dynprune_lib.samplers import PruningSampler
from dynprune_lib.scores import SCORES

OnEpoch = Callable[[RunSpec, EpochRecord], None]


@dataclass
class Training:
    """All that changes while a run is trained; a checkpoint is its state after an epoch."""

    model: nn.Module
    forward: nn.Module  # the model, wrapped where several processes train it together
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    sampler: PruningSampler
    selections: Tensor  # (N,) int32 on the CPU: epochs in which each sample was selected
    epochs: list[EpochRecord]
    trace: list[Tensor]  # an epoch each: mean scores of the traced samples, float16 on the CPU

    def state_dict(self) -> dict:
        parts = {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "schedule", "sampler")}
        epochs = [asdict(epoch) for epoch in self.epochs]
        return parts | {"selections": self.selections, "epochs": epochs, "trace": self.trace}

    def load_state_dict(self, state: dict) -> None:
        for name in ("model", "optimizer", "schedule", "sampler"):
            getattr(self, name).load_state_dict(state[name])
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
    """Trains a run from its last checkpoint, if there is one, to its end, and keeps its record in the store.

    After every epoch `on_epoch` is called, and the state is saved as long as that takes little of the time; whatever
    interrupts the run, it goes on from there and, with the same number of threads on the same device, ends with the
    same record.

    Args:
        data: the data set of the spec, on the device to train on.
        jobs: how many runs share the device, for the record.
        scores: for a static sampler, of `dynprune_lib.experiments.static_scores`; what they cost is charged to the run.

    Raises:
        ValueError: the spec does not fit the data; raised before any training.
        TrainingDiverged: a loss is not finite; the message says at which step.
    """
    environment = describe_run(spec, data, jobs)
    is_first = rank() == 0
    training = prepare(spec, data, scores and scores.values)
    conditions = conditions_of(environment)
    if state := store.load_checkpoint(spec, conditions):
        with store.reading_checkpoint(spec):
            training.load_state_dict(state)

    def save() -> None:
        state = training.state_dict()  # all ranks have a part in it
        if is_first:
            store.save_checkpoint(spec, state, conditions)

    train_epochs(training, spec, data, spec.epochs, save, on_epoch)
    scoring = scores.cost if scores else Cost()
    record = RunRecord(spec=spec, epochs=training.epochs, environment=environment, scoring=scoring)
    arrays = {"selections": _packed(training.selections)}
    if training.trace:
        arrays["trace"] = torch.stack(training.trace).numpy()
    if is_first:
        store.save(record, arrays)
    return record


def train_epochs(
    training: Training,
    spec: RunSpec,
    data: ImageData,
    epochs: int,
    save: Callable[[], None],
    on_epoch: OnEpoch | None = None,
) -> None:
    """Goes on with a training until it has so many epochs; calls `on_epoch` after each, and `save` when it is time to,
    or when `on_epoch` stops it: then nothing is lost."""
    checkpoint = ThrottledCheckpoint(save)
    for epoch in range(len(training.epochs), epochs):
        training.epochs.append(train_epoch(training, spec, data, epoch))
        checkpoint()
        try:
            if on_epoch:
                on_epoch(spec, training.epochs[-1])
        except BaseException:
            checkpoint.now()
            raise


class ThrottledCheckpoint:
    """Does something when it is called, unless that has taken more than a share of the time since the beginning."""

    def __init__(self, action: Callable[[], None], share: float = 0.05) -> None:
        self.action, self.share = action, share
        self.begun, self.spent = time.perf_counter(), 0.0

    def __call__(self) -> None:
        if broadcast_flag(self.spent <= self.share * (time.perf_counter() - self.begun)):
            self.now()

    def now(self) -> None:
        """Does it, whatever it has taken."""
        started = time.perf_counter()
        self.action()
        self.spent += time.perf_counter() - started


def prepare(
    spec: RunSpec, data: ImageData, scores: Tensor | None = None, sampler: PruningSampler | None = None
) -> Training:
    """Everything a run needs, at its beginning; `sampler` takes the place of the spec's own."""
    check_size(spec, data)
    if sampler is None:
        sampler = spec.make_sampler(len(data.train), scores)
        if spec.is_static_scored:
            _warn_of_missing_classes(spec, sampler, data)
    model = build_model(spec.model, tuple(data.train.images.shape[1:]), len(data.classes), spec.seed)
    model = model.to(data.device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=spec.learning_rate,
        momentum=spec.momentum,
        weight_decay=spec.weight_decay,
        nesterov=spec.momentum > 0,
        fused=True,
    )
    schedule = _make_schedule(spec, optimizer, sampler.total_steps(spec.epochs, _batch_size(spec)))
    forward = DistributedDataParallel(model) if world_size() > 1 else model
    selections = torch.zeros(len(data.train), dtype=torch.int32)
    return Training(model, forward, optimizer, schedule, sampler, selections, [], [])


def train_epoch(training: Training, spec: RunSpec, data: ImageData, epoch: int) -> EpochRecord:
    """One epoch over the sampler's selection, and the evaluation after it."""
    device, sampler = data.device, training.sampler
    begun = _now(device)
    rescored = rescore(training, spec, data) if spec.rescore and epoch and sampler.selects_at(epoch) else 0
    start = _now(device)
    sampler.set_epoch(epoch)
    subset, order, batch_size = sampler.subset(), sampler.indices(), _batch_size(spec)
    training.selections[subset] += 1
    batches = order.to(device).split(batch_size)[: len(order) // batch_size]  # whole ones: one fixed shape
    selected = _now(device)
    losses = train_steps(training, spec, data, batches, epoch)
    trained = _now(device)
    _check_finite(losses, epoch)
    if spec.trace:
        step = max(1, len(data.train) // spec.trace)
        training.trace.append(sampler.per_sample_state()["mean"][::step][: spec.trace].half().cpu())
    test_loss, test_accuracy = evaluate(training.model, data.test, data, spec.precision)
    if not math.isfinite(test_loss):  # the losses of the steps do not show what the last step made of the weights
        raise TrainingDiverged(f"the test loss is {test_loss} after epoch {epoch}: a lower learning_rate may help")
    evaluated = _now(device)
    passes = len(batches) * spec.batch_size  # of all ranks
    return EpochRecord(
        train_loss=round(average(losses.mean()).item(), 6),
        test_loss=round(test_loss, 6),
        test_accuracy=test_accuracy,
        samples_kept=len(subset),
        steps=len(batches),
        forward_passes=passes + rescored,
        backward_passes=passes,
        selection_seconds=round(selected - start, 6),
        training_seconds=round(trained - selected, 6),
        scoring_seconds=round(start - begun, 6) if rescored else 0.0,
        evaluation_seconds=round(evaluated - trained, 6),
    )


def rescore(training: Training, spec: RunSpec, data: ImageData) -> int:
    """Tells the sampler the score of every training sample, without augmentation; the number of forward passes."""
    index = torch.arange(len(data.train), device=data.device)
    training.sampler.observe(index, score_all(training.model, data, spec.precision, SCORES[spec.score]))
    return len(index)


def check_size(spec: RunSpec, data: ImageData) -> None:
    """Raises ValueError if the run's rate leaves too few samples to train on, or its batches have no equal shares."""
    if spec.batch_size % world_size():
        raise ValueError(f"batch_size {spec.batch_size} cannot be shared equally by {world_size()} processes")
    kept = round((1 - spec.prune_rate) * len(data.train))
    for wanted, what in ((len(data.classes), "one sample a class, "), (spec.batch_size, "one batch of ")):
        if kept < wanted:
            raise ValueError(
                f"prune_rate {spec.prune_rate} keeps {kept} of {len(data.train)} samples, fewer than {what}{wanted}:"
                " lower the rate" + (" or the batch size" if "batch" in what else "")
            )


def _warn_of_missing_classes(spec: RunSpec, sampler: PruningSampler, data: ImageData) -> None:
    counts = torch.bincount(data.train.labels.cpu()[sampler.subset()], minlength=len(data.classes))
    missing = [name for name, count in zip(data.classes, counts.tolist(), strict=True) if count == 0]
    if missing:
        warnings.warn(
            f"{spec.sampler} at prune_rate {spec.prune_rate} keeps no sample of the classes {', '.join(missing)}:"
            " the model cannot learn them",
            stacklevel=2,
        )


def conditions_of(environment: dict[str, Any]) -> dict[str, str]:
    """Return what must be the same for an interrupted run to go on: its record names one data set, one precision."""
    return {name: environment[name] for name in ("data_md5", "precision")}


def describe_run(spec: RunSpec, data: ImageData, jobs: int) -> dict[str, Any]:
    """Where a run is made, for its record, and in which precision; `jobs` runs share the device."""
    return describe_environment(data, jobs) | {"precision": used_precision(spec.precision, data.device)}


def train_steps(training: Training, spec: RunSpec, data: ImageData, batches: tuple[Tensor, ...], epoch: int) -> Tensor:
    """The steps of an epoch; their losses (steps,) stay on the device, which is not waited for."""
    device = data.device
    # seeded by the epoch, so that a resumed run needs no random state of an interrupted one
    generator = torch.Generator(device).manual_seed(spec.seed * 100_003 + epoch + rank() * 1_000_000_007)
    # the losses are there anyway, unless they are smoothed
    score = None if spec.score == "loss" and not spec.label_smoothing else SCORES[spec.score]
    training.model.train()
    step_losses = []
    for index in batches:
        images = augment(data.train.images[index], data.pad, data.flip, generator)
        labels = data.train.labels[index]
        with autocast(device, spec.precision):
            logits = training.forward(normalize(images, data))
        losses = F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=spec.label_smoothing)
        if spec.rescore:
            loss = training.sampler.mean_loss(index, losses)
        else:
            loss = training.sampler.update(index, losses, score(logits.detach(), labels) if score else None)
        training.optimizer.zero_grad()
        loss.backward()
        training.optimizer.step()
        training.schedule.step()
        step_losses.append(loss.detach())
    return torch.stack(step_losses)


def _batch_size(spec: RunSpec) -> int:
    """Of one rank."""
    return spec.batch_size // world_size()


def _make_schedule(spec: RunSpec, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
    if spec.schedule == "cosine":
        return CosineAnnealingLR(optimizer, steps)
    return OneCycleLR(
        optimizer,
        spec.learning_rate,
        total_steps=steps + 1,  # torch counts the state after the last step as one more
        pct_start=0.25 if steps != 3 else 0.5,  # a quarter of 3 + 1 steps would be a warm-up of length 0 to torch
        anneal_strategy="linear",
        cycle_momentum=False,
        div_factor=10,
        final_div_factor=1_000,
    )


def _check_finite(losses: Tensor, epoch: int) -> None:
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step = int(bad[0])
        raise TrainingDiverged(
            f"the loss is {losses[step].item()} at step {step} of epoch {epoch} (both count from 0):"
            " a lower learning_rate may help"
        )


def _packed(selections: Tensor) -> np.ndarray:
    """In the smallest unsigned type that holds them."""
    return selections.numpy().astype(np.min_scalar_type(int(selections.max())))


def _now(device: torch.device) -> float:
    """Seconds of a clock, read when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
