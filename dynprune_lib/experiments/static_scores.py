"""Static scores: computed once before training, stored next to the runs, and charged to the runs that use them.

Each seed of a run has its own scores, from models whose seeds no run uses: n seeds are n independent realisations, and
no run is trained on the scores of its own seed.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dynprune_lib.errors import SpecError, StoreError
from dynprune_lib.experiments.data import TensorData
from dynprune_lib.experiments.environment import describe_environment
from dynprune_lib.experiments.evaluation import gradient_norms_of_all, score_all
from dynprune_lib.experiments.observers import ForgettingEvents, Losses, Observer
from dynprune_lib.experiments.records import Cost, StaticScores, cost_of
from dynprune_lib.experiments.runs import SCORING_SEEDS, RunSpec, check_choice
from dynprune_lib.experiments.selection_groups import group_of
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.train import (
    OnEpoch,
    TrainState,
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
    """How samples are scored: the mean over some models of what each says after some epochs.

    `score` takes the trained state, its observer and the scoring, and returns (N,) scores. `observer` makes the
    observer, from N; `trained` returns in which fields the training differs from that on full data; `passes` is what
    it costs to ask one model, in passes of the training set, forward and backward.
    """

    score: Callable[[TrainState, Any, RunSpec], Tensor]
    observer: Callable[[int], Observer] | None = None
    trained: Callable[[RunSpec], dict[str, Any]] = lambda _: {}
    passes: Callable[[RunSpec], tuple[int, int]] = lambda _: (0, 0)


def static_scores(
    spec: RunSpec, data: TensorData, store: Store, on_epoch: OnEpoch | None = None, jobs: int = 1
) -> StaticScores:
    """Return the scores of a run with a static sampler, from the store or computed and saved there; see `make_run`."""
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
    return _models(scoring) * _epochs(scoring)


def _models(scoring: RunSpec) -> int:
    return scoring.settings.get("models", 1)


def _epochs(scoring: RunSpec) -> int:
    return scoring.settings.get("at_epoch", scoring.epochs)


def _compute(spec: RunSpec, data: TensorData, store: Store, on_epoch: OnEpoch | None, jobs: int) -> StaticScores:
    check_choice("sampler with a scoring method (METHODS in static_scores.py)", spec.sampler, METHODS)
    method = METHODS[spec.sampler]
    full = replace(spec, sampler="full", settings={}, prune_rate=0.0)
    forward, backward = (len(data.train) * passes for passes in method.passes(spec))
    environment = describe_environment(spec, data, jobs)
    conditions = conditions_of(environment)

    begun = store.load_checkpoint(spec, conditions)
    begun = begun or {"done": 0, "total": torch.zeros(len(data.train)), "cost": {}}
    total, cost = begun["total"], Cost(**begun["cost"])
    for number in range(begun["done"], _models(spec)):
        run = replace(full, seed=spec.seed + number, **method.trained(spec))
        observer = method.observer(len(data.train)) if method.observer else None
        state = TrainState(run, data, observer=observer)
        if number == begun["done"] and "training" in begun:
            with store.reading_checkpoint(spec):
                state.load_state_dict(begun["training"])
        before = {"done": number, "total": total, "cost": asdict(cost)}
        train_epochs(state, _epochs(spec), partial(_save, store, spec, before, state, conditions), on_epoch)
        started = time.perf_counter()
        total = total + method.score(state, observer, spec).cpu()
        seconds = round(time.perf_counter() - started, 6)
        cost = cost + cost_of(state.epochs) + Cost(seconds=seconds, forward_passes=forward, backward_passes=backward)
    return StaticScores(spec=spec, values=total / _models(spec), cost=cost, environment=environment)


def _save(store: Store, spec: RunSpec, before: dict, state: TrainState, conditions: dict[str, str]) -> None:
    store.save_checkpoint(spec, before | {"training": state.state_dict()}, conditions)


# The methods ---------------------------------------------------------------------------------------------------------


def _el2n(state: TrainState, *_: Any) -> Tensor:
    return score_all(state.evaluated, state.data, state.spec.precision, el2n)


def _grand(state: TrainState, _: Any, scoring: RunSpec) -> Tensor:
    return gradient_norms_of_all(state.evaluated, state.data, scoring.settings["exact"])


def _last_subset(state: TrainState, *_: Any) -> Tensor:
    return torch.zeros(state.sampler.num_samples).index_fill_(0, state.sampler.subset(), 1)


def _group(state: TrainState, *_: Any) -> Tensor:
    return torch.from_numpy(group_of(state.selections.counts.numpy(), state.spec)).float()


def _dynamic(scoring: RunSpec) -> dict[str, Any]:
    settings = scoring.settings
    changes = {"sampler": settings["of"], "prune_rate": settings.get("of_rate", scoring.prune_rate)}
    return changes | ({"rescore": True, "settings": {"warm_up": 1}} if settings.get("of_rescore") else {})


# by the name of the sampler; a test compares the keys with the static samplers in SAMPLERS
METHODS = {
    "forget": ScoringMethod(lambda _, each, __: each.scores(), ForgettingEvents, lambda _: {"score": "error"}),
    "el2n": ScoringMethod(_el2n, passes=lambda _: (1, 0)),
    "grand": ScoringMethod(_grand, passes=lambda scoring: (1, int(scoring.settings["exact"]))),
    "aum": ScoringMethod(  # of a sampler that sums up the margins, and keeps all samples
        lambda state, _, scoring: state.sampler.memory["area"] / scoring.epochs,
        trained=lambda _: {"sampler": "cautious-greedy"},
    ),
    "cat": ScoringMethod(lambda _, each, __: each.variances(), Losses),
    "cowerage": ScoringMethod(lambda _, each, __: each.last, Losses),
    "final-subset": ScoringMethod(_last_subset, trained=_dynamic),
    OF_GROUPS: ScoringMethod(_group, trained=_dynamic),
    "always-first": ScoringMethod(_group, trained=_dynamic),
}
