"""Training a run to its end: checkpoints, and how an interrupted run resumes."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynprune_lib.experiments.data import TensorData
from dynprune_lib.experiments.environment import describe_environment
from dynprune_lib.experiments.epoch import train_epoch
from dynprune_lib.experiments.evaluation import describe_predictions
from dynprune_lib.experiments.records import Cost, EpochRecord, RunRecord, StaticScores
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.train_state import TrainState, build_train_state

SAVING = 0.05  # largest share of the time that is spent on checkpoints
OnEpoch = Callable[[RunSpec, EpochRecord], None]


def train(
    spec: RunSpec,
    data: TensorData,
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
        The record.

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
        store.save_checkpoint(spec, state.state_dict(), conditions)

    train_epochs(state, spec.epochs, save, on_epoch)
    scoring = scores.cost if scores else Cost()
    record = RunRecord(
        spec=spec,
        epochs=state.epochs,
        environment=environment,
        scoring=scoring,
        last_epoch=describe_predictions(state.evaluated, data, spec.precision) if data.classes else None,
        left_out=state.absences.summary(),
        composition=None if state.composition is None else state.composition.summary(),
    )
    arrays = {"selections": _packed(state.selections)}
    if state.trace:
        arrays["trace"] = torch.stack(state.trace).numpy()
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
    begun, saving = time.perf_counter(), 0.0
    for epoch in range(len(state.epochs), epochs):
        state.epochs.append(train_epoch(state, epoch))
        started = time.perf_counter()
        if saving <= SAVING * (started - begun):
            save()
            saving += time.perf_counter() - started
        try:
            if on_epoch:
                on_epoch(state.spec, state.epochs[-1])
        except BaseException:
            save()
            raise


def conditions_of(environment: dict[str, Any]) -> dict[str, str]:
    """Return what must be the same for an interrupted run to go on: its record names one data set, one precision."""
    return {name: environment[name] for name in ("data_md5", "precision")}


def _packed(selections: Tensor) -> np.ndarray:
    """Return the counts in the smallest unsigned type that holds them."""
    return selections.numpy().astype(np.min_scalar_type(int(selections.max())))
