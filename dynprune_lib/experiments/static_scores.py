"""Static scores: computed once before training, stored next to the runs, and charged to the runs that use them.

Each seed of a run has its own scores, from models whose seeds no run uses: n seeds are n independent realisations, and
no run is trained on the scores of its own seed.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dynprune_lib.errors import SpecError, StoreError
from dynprune_lib.experiments.data import TensorData
from dynprune_lib.experiments.environment import describe_environment
from dynprune_lib.experiments.evaluation import gradient_norms_of_all, score_all
from dynprune_lib.experiments.observers import ForgettingEvents, Losses, Observer
from dynprune_lib.experiments.records import Cost, EpochRecord, StaticScores, cost_of
from dynprune_lib.experiments.runs import SCORING_SEEDS, RunSpec, check_choice
from dynprune_lib.experiments.selection_groups import group_of
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.train import (
    OnEpoch,
    TrainState,
    build_train_state,
    check_fit,
    conditions_of,
    train_epochs,
)
from dynprune_lib.samplers import OfGroups, StaticScored, sampler_class
from dynprune_lib.scores import el2n

OF_GROUPS = "without-group"  # whose scores are those of all samplers of groups
SHARED = {"group", "strata", "redraw"}  # settings of static samplers that their scores do not depend on


@dataclass(frozen=True)
class ScoringMethod:
    """How samples are scored: the mean over some models of what each says after some epochs of `run`.

    `score` takes the trained state and the observer, and returns (N,) scores. `passes` is the cost of asking one model,
    whose seconds are measured. `observer` makes what watches the training, from N.
    """

    run: RunSpec
    epochs: int
    score: Callable[[TrainState, Any], Tensor]
    models: int = 1
    passes: Cost = field(default_factory=Cost)
    observer: Callable[[int], Observer] | None = None


def static_scores(
    spec: RunSpec, data: TensorData, store: Store, on_epoch: OnEpoch | None = None, jobs: int = 1
) -> StaticScores:
    """Return the scores of a run with a static sampler, from the store or computed and saved there; it resumes.

    Args:
        spec: the run that needs scores.
        data: its data set, on the device to train on.
        store: for checkpoints and scores.
        on_epoch: called after every epoch of a scoring model, with the scoring. Default: None.
        jobs: number of runs that share the device, for the record. Default: 1.

    Raises:
        SpecError: the run does not fit the data, or its seed is one of scoring models; raised before any training.
        Busy: another process computes them.
        StoreError: those in the store are damaged, or of another data set.
    """
    check_fit(spec, data)
    needed = scoring_spec(spec)
    if found := stored_scores(spec, data, store):
        return found
    with store.claim(needed):
        found = stored_scores(spec, data, store)  # another process may have computed them meanwhile
        if found is None:
            found = _compute(needed, data, store, on_epoch, jobs)
            store.save_scores(found)
    return found


def stored_scores(spec: RunSpec, data: TensorData, store: Store) -> StaticScores | None:
    """Return the scores of a run if they are in the store; StoreError if they are damaged or of other data."""
    needed = scoring_spec(spec)
    found = store.load_scores(needed)
    if found and found.environment["data_md5"] != data.md5:
        raise StoreError(
            f"the scores {needed.name} in {store.folder} are of other data than {data.name} is now: remove them, or use"
            " another folder of results"
        )
    return found


def scoring_spec(spec: RunSpec) -> RunSpec:
    """Return what the scores of a run depend on: runs with the same scoring share their scores."""
    if spec.seed >= SCORING_SEEDS:
        raise SpecError(f"seed is {spec.seed}: it must be below {SCORING_SEEDS}, the first seed of scoring models")
    general = {each.name for each in fields(StaticScored)} | SHARED
    settings = {name: value for name, value in spec.settings.items() if name not in general}
    rate = spec.prune_rate if spec.sampler == "final-subset" else 0.0
    sampler = OF_GROUPS if issubclass(sampler_class(spec.sampler), OfGroups) else spec.sampler
    needed = replace(spec, sampler=sampler, prune_rate=rate, settings=settings, alone=False)
    return replace(needed, seed=spec.scoring_seed, init_seed=None)


def scoring_epochs(scoring: RunSpec) -> int:
    """Return the epochs of all models of a scoring together."""
    method = METHODS[scoring.sampler](scoring, 1)
    return method.models * method.epochs


def _compute(spec: RunSpec, data: TensorData, store: Store, on_epoch: OnEpoch | None, jobs: int) -> StaticScores:
    check_choice("sampler with a scoring method (METHODS in static_scores.py)", spec.sampler, METHODS)
    method = METHODS[spec.sampler](spec, len(data.train))
    environment = describe_environment(spec, data, jobs)
    conditions = conditions_of(environment)

    def tell(_: RunSpec, epoch: EpochRecord) -> None:
        if on_epoch:
            on_epoch(spec, epoch)

    begun = store.load_checkpoint(spec, conditions)
    begun = begun or {"done": 0, "total": torch.zeros(len(data.train)), "cost": {}}
    total, cost = begun["total"], Cost(**begun["cost"])
    for number in range(begun["done"], method.models):
        run = replace(method.run, seed=spec.seed + number)
        observer = method.observer(len(data.train)) if method.observer else None
        state = build_train_state(run, data, observer=observer)
        if number == begun["done"] and "training" in begun:
            with store.reading_checkpoint(spec):
                state.load_state_dict(begun["training"])
        before = {"done": number, "total": total, "cost": asdict(cost)}
        train_epochs(state, method.epochs, partial(_save, store, spec, before, state, conditions), tell)
        started = time.perf_counter()
        total = total + method.score(state, observer).cpu()
        asking = Cost(seconds=round(time.perf_counter() - started, 6))
        cost = cost + cost_of(state.epochs) + asking + method.passes
    return StaticScores(spec=spec, values=total / method.models, cost=cost, environment=environment)


def _save(store: Store, spec: RunSpec, before: dict, state: TrainState, conditions: dict[str, str]) -> None:
    store.save_checkpoint(spec, before | {"training": state.state_dict()}, conditions)


# The methods ---------------------------------------------------------------------------------------------------------


def _full(spec: RunSpec) -> RunSpec:
    return replace(spec, sampler="full", settings={}, prune_rate=0.0)


def _forget(spec: RunSpec, _: int) -> ScoringMethod:
    run = replace(_full(spec), score="error")
    return ScoringMethod(run, spec.epochs, lambda _, events: events.scores(), observer=ForgettingEvents)


def _el2n(spec: RunSpec, num_samples: int) -> ScoringMethod:
    def score(state: TrainState, _: Any) -> Tensor:
        return score_all(state.evaluated, state.data, state.spec.precision, el2n)

    passes = Cost(forward_passes=num_samples)
    return ScoringMethod(_full(spec), spec.settings["at_epoch"], score, spec.settings["models"], passes)


def _grand(spec: RunSpec, num_samples: int) -> ScoringMethod:
    exact = spec.settings["exact"]

    def score(state: TrainState, _: Any) -> Tensor:
        return gradient_norms_of_all(state.evaluated, state.data, exact)

    passes = Cost(forward_passes=num_samples, backward_passes=num_samples * exact)
    return ScoringMethod(_full(spec), spec.settings["at_epoch"], score, spec.settings["models"], passes)


def _aum(spec: RunSpec, _: int) -> ScoringMethod:
    run = replace(_full(spec), sampler="cautious-greedy")  # which sums up the margins, and keeps all samples
    return ScoringMethod(run, spec.epochs, lambda state, _: state.sampler.memory["area"] / spec.epochs)


def _cat(spec: RunSpec, _: int) -> ScoringMethod:
    return ScoringMethod(_full(spec), spec.settings["at_epoch"], lambda _, each: each.variances(), observer=Losses)


def _cowerage(spec: RunSpec, _: int) -> ScoringMethod:
    return ScoringMethod(_full(spec), spec.settings["at_epoch"], lambda _, each: each.last, observer=Losses)


def _final_subset(spec: RunSpec, num_samples: int) -> ScoringMethod:
    def score(state: TrainState, _: Any) -> Tensor:
        return torch.zeros(num_samples).index_fill_(0, state.sampler.subset(), 1)

    dynamic = replace(_full(spec), sampler=spec.settings["of"], prune_rate=spec.prune_rate)
    return ScoringMethod(dynamic, spec.epochs, score)


def _groups(spec: RunSpec, _: int) -> ScoringMethod:
    def score(state: TrainState, _: Any) -> Tensor:
        return torch.from_numpy(group_of(state.selections.counts.numpy(), state.spec)).float()

    dynamic = replace(_full(spec), sampler=spec.settings["of"], prune_rate=spec.settings["of_rate"])
    if spec.settings["of_rescore"]:
        dynamic = replace(dynamic, rescore=True, settings={"warm_up": 1})
    return ScoringMethod(dynamic, spec.epochs, score)


# by the name of the sampler; a test compares the keys with the static samplers in SAMPLERS
METHODS: dict[str, Callable[[RunSpec, int], ScoringMethod]] = {
    "forget": _forget,
    "el2n": _el2n,
    "grand": _grand,
    "aum": _aum,
    "cat": _cat,
    "cowerage": _cowerage,
    "final-subset": _final_subset,
    OF_GROUPS: _groups,
    "always-first": _groups,
}
