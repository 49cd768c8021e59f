"""One epoch of training: the hot path."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from dynprune_lib.errors import TrainingDiverged
from dynprune_lib.experiments.augment import alternating_flips, augment, normalize
from dynprune_lib.experiments.data import ImageData
from dynprune_lib.experiments.evaluation import evaluate, score_all
from dynprune_lib.experiments.objective import per_sample_losses
from dynprune_lib.experiments.precision import autocast
from dynprune_lib.experiments.records import EpochRecord
from dynprune_lib.experiments.train_state import TrainState
from dynprune_lib.samplers.schedule import spread
from dynprune_lib.scores import REFERENCE_SCORES, SCORES


def train_epoch(state: TrainState, epoch: int) -> EpochRecord:
    """Train one epoch on the subset that the sampler selects, and evaluate the model on the test set."""
    spec, data, sampler = state.spec, state.data, state.sampler
    begun, selects = _now(data.device), epoch == 0 or sampler.selects_at(epoch)
    # an untrained model knows nothing of the samples: the first epoch is not re-scored
    rescored = rescore(state) if spec.rescore and epoch and selects else 0
    start = _now(data.device)
    sampler.set_epoch(epoch)
    subset, order, batch_size = sampler.subset(), sampler.indices(), spec.batch_size
    state.selections[subset] += 1
    state.absences.count(subset, sampler.wanted if selects else None)
    if state.composition is not None:
        state.composition.count(subset)
    number = max(1, len(order) // batch_size)  # full batches only: one fixed shape; a short epoch has a short one
    batches = order.to(data.device).split(batch_size)[:number]
    selected = _now(data.device)
    losses = train_steps(state, batches, epoch)
    trained = _now(data.device)
    _check_finite(losses, epoch)
    if spec.trace and epoch + 1 in spec.traced_epochs:
        step = max(1, len(data.train) // spec.trace)
        state.trace.append(sampler.memory["mean"][::step][: spec.trace].half().cpu())
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
    """Train on some batches, without synchronising the device.

    Args:
        state: trained in place.
        batches: (B,) indices each, on the device.
        epoch: decides the augmentation, together with the seed.

    Returns:
        (steps,) losses, on the device.
    """
    spec, data = state.spec, state.data
    # seeded by the epoch, so that a resumed run needs no random state of the interrupted one
    generator = torch.Generator(data.device).manual_seed(spec.seed * 100_003 + epoch)
    prepared = _preparation(state, generator)
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
            loss = state.sampler.update(index, losses, _scores(state, inputs, outputs.detach(), labels))
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        for _ in range(ticks):
            state.schedule.step()
        for averaged in (state.average, state.reference):
            if averaged is not None:
                averaged.update_parameters(state.model)
        step_losses.append(loss.detach())
    return torch.stack(step_losses)


def _ticks(state: TrainState, epoch: int, steps: int) -> list[int]:
    """Return by how many steps the schedule goes on after each optimizer step of an epoch: by one each.

    If the sampler has no fixed length, the schedule has the steps of the longest epochs, and all of them pass in every
    epoch: it follows the progress in epochs. An epoch of 2 steps that could have 5 goes on by 2 and by 3.
    """
    if state.sampler.has_fixed_length:
        return [1] * steps
    longest = state.sampler.greatest_length(epoch) // state.spec.batch_size
    return [spread(longest, steps, step) for step in range(steps)]


def _scores(state: TrainState, inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor | None:
    """Return the scores of a batch; None if they are the losses, which are computed anyway, unless smoothed."""
    spec = state.spec
    if state.reference is not None:
        with torch.no_grad(), autocast(state.data.device, spec.precision):
            return REFERENCE_SCORES[spec.score](logits, labels, state.reference.module(inputs))
    return None if spec.score == "loss" and not spec.label_smoothing else SCORES[spec.score](logits, labels)


def _preparation(state: TrainState, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Return a function of the indices of a batch that returns its inputs; images are augmented and normalised."""
    spec, data = state.spec, state.data
    if not isinstance(data, ImageData):
        return lambda index: data.train.inputs[index]
    flip, pad = _flips(state, data), data.pad if spec.pad is None else spec.pad

    def images(index: Tensor) -> Tensor:
        mirrored = flip[index] if isinstance(flip, Tensor) else flip
        return normalize(augment(data.train.images[index], pad, mirrored, generator, spec.padding), data)

    return images


def _flips(state: TrainState, data: ImageData) -> bool | Tensor:
    if state.spec.flip == "alternating" and data.flip:
        return alternating_flips(state.spec.seed, state.selections).to(data.device)
    return data.flip


def _check_finite(losses: Tensor, epoch: int) -> None:
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step = int(bad[0])
        raise TrainingDiverged(
            f"the loss is {losses[step].item()} at step {step} of epoch {epoch} (both count from 0):"
            " try a lower learning_rate"
        )


def _now(device: torch.device) -> float:
    """Return the time in seconds, after waiting for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
