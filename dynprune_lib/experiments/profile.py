"""Profiles: the runs of every experiment of the plan at one size."""

import functools
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.plan import EXPERIMENTS, Row
from dynprune_lib.experiments.runs import RunSpec, check_choice
from dynprune_lib.experiments.sizes import SIZES, Size

PROFILES = tuple(SIZES)
RECORDED = PROFILES[1:]  # sizes whose records and figures are committed: all but the smallest, which takes minutes
FEWER_EPOCHS = "fewer-epochs"  # the method of a run on full data that is to be as cheap as a pruned one


class Role(NamedTuple):
    """Method of a run in an experiment, and the share of samples or epochs that it leaves out."""

    method: str
    rate: float


def stated_role(spec: RunSpec) -> Role:
    """Return the sampler of a run at its prune rate."""
    return Role(spec.sampler, spec.prune_rate)


@dataclass(frozen=True)
class Experiment:
    """The runs of one table or figure, at the first seed, in the order of their use, and the notebook that shows it."""

    notebook: str
    runs: tuple[RunSpec, ...]
    roles: dict[str, Role]  # by the name of the run at seed 0
    seeds: dict[str, set[int]]  # of each run, by its name

    def role(self, spec: RunSpec) -> Role:
        """Return the role of one of its runs, whatever the seed."""
        return self.roles[spec.seedless_name]


@dataclass(frozen=True)
class Profile:
    """All experiments at one size.

    Attributes:
        name: one of PROFILES; with another data set, its name is appended.
        dataset: of all runs but those that name another.
        model: of all runs but those that name another.
        epochs: of a run of length 1.
        threads: CPU threads for a run; None for torch's choice.
        seeds: of most runs. A run with a `seed` of its own begins there and counts on.
        margin: largest loss of accuracy, in percentage points, that counts as none.
        experiments: by name.
        cheapest_first: whether all seeds of a run come before the next, more expensive run.
    """

    name: str
    dataset: str
    model: str
    epochs: int
    threads: int | None
    seeds: tuple[int, ...]
    margin: float
    experiments: dict[str, Experiment]
    cheapest_first: bool = False

    def runs(self, experiment: str | None = None, seeds: Iterable[int] | None = None) -> list[RunSpec]:
        """Return the runs of an experiment, or of all of them, each once.

        All methods come at the first seed, then at the next: a sweep that is stopped early leaves a complete figure.
        With `cheapest_first`, it leaves the first lengths of an experiment with all seeds.

        Args:
            experiment: its name. Default: all.
            seeds: of all runs. Default: those of each.

        Raises:
            SpecError: there is no such experiment.
        """
        if experiment is not None:
            check_choice(f"experiment of profile {self.name}", experiment, self.experiments)
        chosen = list(self.experiments.values()) if experiment is None else [self.experiments[experiment]]
        own = set().union(*(seeds for each in chosen for seeds in each.seeds.values()))
        specs = [
            replace(spec, seed=spec.seed + seed - self.seeds[0])
            for seed in (sorted(own) if seeds is None else seeds)
            for each in chosen
            for spec in each.runs
            if seeds is not None or seed in each.seeds[spec.name]
        ]
        if self.cheapest_first:
            places = {name: place for place, name in enumerate(dict.fromkeys(spec.seedless_name for spec in specs))}
            specs.sort(key=lambda spec: places[spec.seedless_name])
        return list({spec.name: spec for spec in specs}.values())


@functools.cache
def load_profile(name: str, dataset: str | None = None) -> Profile:
    """Return a profile.

    Args:
        name: one of PROFILES.
        dataset: data set of all runs but those with a recipe of their own; it is appended to the profile's name, and
            with it to the folders of records and figures. Default: the profile's.

    Raises:
        SpecError: there is no such profile.
    """
    check_choice("profile", name, PROFILES)
    size = SIZES[name]
    given = {"dataset": dataset} if dataset else {}
    return Profile(
        name=f"{name}-{re.sub(r'[^0-9A-Za-z]+', '-', dataset)}" if dataset else name,
        dataset=dataset or size.recipe["dataset"],
        model=size.recipe["model"],
        epochs=size.recipe["epochs"],
        threads=size.threads,
        seeds=size.seeds,
        margin=size.margin,
        cheapest_first=size.cheapest_first,
        experiments={
            key: experiment_of(notebook, rows(size) if key in (size.experiments or EXPERIMENTS) else (), size, given)
            for key, (notebook, rows) in EXPERIMENTS.items()
        },
    )


def experiment_of(notebook: str, groups: Iterable[Row], size: Size, given: Row) -> Experiment:
    """Return the runs that rows of the plan describe; `given` fields replace those of the size and the rows."""
    runs: dict[str, RunSpec] = {}
    roles: dict[str, Role] = {}
    own_seeds: dict[str, set[int]] = {}
    first = size.seeds[0]
    for group in groups:
        for row in _rows(group):
            seeds = range(first, first + (row.pop("seeds", 0) or len(size.seeds)))
            has_own_recipe = {"dataset", "model"} <= row.keys()  # nets for text take no images
            spec = RunSpec.from_dict(_absolute(row if has_own_recipe else size.recipe | {"seed": first} | row | given))
            is_fewer = spec.sampler == "full" and "saved" in row
            role = Role(FEWER_EPOCHS, row["saved"]) if is_fewer else stated_role(spec)
            runs.setdefault(spec.name, spec)
            roles.setdefault(spec.seedless_name, role)
            own_seeds.setdefault(spec.name, set()).update(seeds)
    specs = list(runs.values())
    if size.cheapest_first:
        specs.sort(key=lambda spec: spec.epochs * (1 - spec.prune_rate))
    return Experiment(notebook, tuple(specs), roles, own_seeds)


def _rows(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every combination of the values that are lists. The last list changes slowest: all methods have one rate
    before any has the next."""
    choices = [value if isinstance(value, list | tuple) else [value] for value in group.values()]
    combinations = itertools.product(*reversed(choices))
    return [dict(zip(group, reversed(combination), strict=True)) for combination in combinations]


def _absolute(row: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a RunSpec: epochs and prune rate in place of a row's units of the size."""
    row = dict(row)
    row["epochs"] = epochs = round(row.pop("length", 1) * row["epochs"])
    settings = dict(row.get("settings", {}))
    for unit, setting in (("anneal", "anneal_from"), ("random_end", "random_from")):
        if unit in row:
            settings[setting] = epochs - max(1, round(row.pop(unit) * epochs))
    row["settings"] = settings
    if "learning" in row:
        row["learning_rate"] *= row.pop("learning")
    if "saved" not in row:
        return row
    saved = row.pop("saved")
    if row["sampler"] == "full":
        return row | {"epochs": max(1, round((1 - saved) * epochs))}
    return row | {"prune_rate": _rate_that_saves(saved, epochs, settings)}


def _rate_that_saves(saved: float, epochs: int, settings: dict[str, Any]) -> float:
    """Return the prune rate at which a run, some of whose epochs train on all the data, saves a share of its sample
    passes."""
    with_all = settings.get("warm_up", 0) + epochs - settings.get("anneal_from", epochs)
    kept = ((1 - saved) * epochs - with_all) / (epochs - with_all)
    if kept <= 0:
        raise SpecError(f"saved is {saved}: lower it, {with_all} of {epochs} epochs train on all the data")
    return round(1 - kept, 4)
