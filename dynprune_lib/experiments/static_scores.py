"""Scores that are computed before training, once, kept beside the runs, and charged to the runs that use them.

Every method trains one or several models for some epochs and then asks them (Paul et al. 2021, Toneva et al. 2019), or
their sampler. The models that score have seeds of their own, so no run is trained on what its own twin had found.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial

import torch
from torch import Tensor

from dynprune_lib.errors import StoreError
from dynprune_lib.experiments.data import ImageData
from dynprune_lib.experiments.evaluation import score_all
from dynprune_lib.experiments.gradients import gradient_norms_of_all
from dynprune_lib.experiments.runs import Cost, RunSpec, StaticScores, cost_of
from dynprune_lib.experiments.selection_groups import GROUPS, group_of
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.train import (
    OnEpoch,
    Training,
    check_size,
    conditions_of,
    describe_run,
    prepare,
    train_epochs,
)
from dynprune_lib.samplers import PruningSampler, StaticScored
from dynprune_lib.samplers.forgetting import ForgettingEvents
from dynprune_lib.scores import el2n

FIRST_SEED = 1000  # of the models that score; those after the first have the next ones


@dataclass(frozen=True)
class Method:
    """How samples are scored: train `models` models as `training` says, but for `epochs` epochs only, then `ask` each
    for the scores (N,); the result is their mean.

    `passes` is what asking one model costs, its seconds are measured. `make_sampler` gives a sampler that observes, in
    place of the training's own.
    """

    training: RunSpec
    epochs: int
    ask: Callable[[Training, RunSpec, ImageData], Tensor]
    models: int = 1
    passes: Cost = field(default_factory=Cost)
    make_sampler: Callable[[int], PruningSampler] | None = None


def score_samples(
    spec: RunSpec, data: ImageData, store: Store, on_epoch: OnEpoch | None = None, jobs: int = 1
) -> StaticScores:
    """The scores that a run with a static sampler needs: from the store, or computed and kept there. An interrupted
    computation goes on where it was.

    Raises:
        ValueError: the run does not fit the data; raised before any training.
        RunLocked: another process is computing them.
        StoreError: those in the store are damaged, or of another data set.
    """
    check_size(spec, data)
    wanted = scoring_spec(spec)
    with store.claim(wanted):
        found = stored_scores(spec, data, store)
        if found is None:
            found = _compute(wanted, data, store, on_epoch, jobs)
            store.save_scores(found)
    return found


def stored_scores(spec: RunSpec, data: ImageData, store: Store) -> StaticScores | None:
    """The scores that a run needs, if they are in the store.

    Raises:
        StoreError: they are damaged, or of another data set.
    """
    wanted = scoring_spec(spec)
    found = store.load_scores(wanted)
    if found and found.environment["data_md5"] != data.md5:
        raise StoreError(
            f"the scores {wanted.name} in {store.folder} are of another data set than {data.name} is here: remove them,"
            " or name another folder for the results"
        )
    return found


def scoring_spec(spec: RunSpec) -> RunSpec:
    """What the scores of a run depend on; runs that agree in it share them."""
    general = {each.name for each in fields(StaticScored)}
    settings = {name: value for name, value in spec.settings.items() if name not in general}
    rate = spec.prune_rate if spec.sampler == "final-subset" else 0.0
    return replace(spec, prune_rate=rate, settings=settings, alone=False, seed=FIRST_SEED)


def _compute(spec: RunSpec, data: ImageData, store: Store, on_epoch: OnEpoch | None, jobs: int) -> StaticScores:
    method = _method(spec, len(data.train))
    environment = describe_run(spec, data, jobs)
    conditions = conditions_of(environment)
    begun = store.load_checkpoint(spec, conditions)
    begun = begun or {"done": 0, "total": torch.zeros(len(data.train)), "cost": {}}
    total, cost = begun["total"], Cost(**begun["cost"])
    for number in range(begun["done"], method.models):
        run = replace(method.training, seed=FIRST_SEED + number)
        training = prepare(run, data, sampler=method.make_sampler and method.make_sampler(len(data.train)))
        if number == begun["done"] and "training" in begun:
            with store.reading_checkpoint(spec):
                training.load_state_dict(begun["training"])
        before = {"done": number, "total": total, "cost": asdict(cost)}
        save = partial(_save, store, spec, before, training, conditions)
        train_epochs(training, run, data, method.epochs, save, on_epoch)
        started = time.perf_counter()
        total = total + method.ask(training, run, data).cpu()
        asking = Cost(seconds=round(time.perf_counter() - started, 6))
        cost = cost + cost_of(training.epochs) + asking + method.passes
    return StaticScores(spec=spec, values=total / method.models, cost=cost, environment=environment)


def _save(store: Store, spec: RunSpec, before: dict, training: Training, conditions: dict[str, str]) -> None:
    store.save_checkpoint(spec, before | {"training": training.state_dict()}, conditions)


def _method(spec: RunSpec, num_samples: int) -> Method:
    full, settings = replace(spec, sampler="full", settings={}, prune_rate=0.0), spec.settings
    if spec.sampler == "forget":
        observed = replace(full, score="error")
        return Method(observed, spec.epochs, _forget_scores, make_sampler=ForgettingEvents)
    if spec.sampler == "el2n":
        passes = Cost(forward_passes=num_samples)
        return Method(full, settings["at_epoch"], _el2n, settings["models"], passes)
    if spec.sampler == "grand":
        exact = settings["exact"]
        passes = Cost(forward_passes=num_samples, backward_passes=num_samples * exact)
        return Method(full, settings["at_epoch"], partial(_grand, exact=exact), settings["models"], passes)
    if spec.sampler == "final-subset":
        dynamic = replace(full, sampler=settings["of"], prune_rate=spec.prune_rate)
        return Method(dynamic, spec.epochs, _is_in_subset)
    dynamic = replace(full, sampler=settings["of"], prune_rate=settings["of_rate"])
    return Method(dynamic, spec.epochs, partial(_is_elsewhere, group=settings["group"]))


def _forget_scores(training: Training, _: RunSpec, __: ImageData) -> Tensor:
    return training.sampler.forget_scores()


def _el2n(training: Training, run: RunSpec, data: ImageData) -> Tensor:
    return score_all(training.model, data, run.precision, el2n)


def _grand(training: Training, _: RunSpec, data: ImageData, *, exact: bool) -> Tensor:
    return gradient_norms_of_all(training.model, data, exact)


def _is_in_subset(training: Training, _: RunSpec, data: ImageData) -> Tensor:
    return torch.zeros(len(data.train)).index_fill_(0, training.sampler.subset(), 1)


def _is_elsewhere(training: Training, run: RunSpec, _: ImageData, *, group: str) -> Tensor:
    groups = group_of(training.selections.numpy(), run.epochs, run.prune_rate)
    return torch.from_numpy(groups != GROUPS.index(group)).float()
