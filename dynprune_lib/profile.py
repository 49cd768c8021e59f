"""Profiles: which runs make which figure, at which size. One yaml file a profile, in `profiles/`."""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import yaml

from dynprune_lib.paths import PACKAGE
from dynprune_lib.runs import RunSpec, check_choice

FOLDER = PACKAGE / "profiles"
PROFILES = ("smoke", "laptop", "short", "paper")


@dataclass(frozen=True)
class Profile:
    """A named set of runs.

    Attributes:
        name: one of PROFILES, and another data set if it was given one.
        about: model, epochs and machine in a few words, for captions.
        dataset: of all runs but those of a figure that names another.
        threads: CPU threads that suit a run of it; None leaves torch's choice.
        seeds: of every run.
        figures: name -> its runs, at the first seed, in the order of their use. A run with a `seed` of its own begins
            there and counts on: other seeds than those of the other figures.
    """

    name: str
    about: str
    dataset: str
    threads: int | None
    seeds: tuple[int, ...]
    figures: dict[str, tuple[RunSpec, ...]]

    def runs(self, figure: str | None = None, seeds: Iterable[int] | None = None) -> list[RunSpec]:
        """The runs of a figure, or of all of them, each once: all methods at the first seed, then at the next, so
        that a sweep that is stopped early leaves a figure that can be drawn.

        Raises:
            ValueError: there is no such figure in the profile.
        """
        if figure is not None:
            check_choice(f"figure of profile {self.name}", figure, self.figures)
        names = self.figures if figure is None else [figure]
        seeds = self.seeds if seeds is None else seeds
        first = self.seeds[0]
        specs = [
            replace(spec, seed=spec.seed + seed - first)
            for seed in seeds
            for name in names
            for spec in self.figures[name]
        ]
        return list({spec.name: spec for spec in specs}.values())


def load_profile(name: str, dataset: str | None = None) -> Profile:
    """Reads a profile.

    Args:
        dataset: for all runs, in place of those that the profile has; then `name` says so too, and with it the folders
            of records and figures.

    Raises:
        ValueError: there is none of that name, or its file has a value that is not allowed.
    """
    check_choice("profile", name, PROFILES)
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    settings = content["settings"] | {"seed": content["seeds"][0]}
    given = {"dataset": dataset} if dataset else {}
    figures = {
        figure: tuple(RunSpec.from_dict(_at_cost(settings | row | given)) for group in groups for row in _rows(group))
        for figure, groups in content["figures"].items()
    }
    return Profile(
        name=f"{name}-{re.sub(r'[^0-9A-Za-z]+', '-', dataset)}" if dataset else name,
        about=content["about"],
        dataset=dataset or settings["dataset"],
        threads=content.get("threads"),
        seeds=tuple(content["seeds"]),
        figures=figures,
    )


def _rows(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the values that are given as lists; the last list changes slowest, so that all methods
    have one rate before any has the next."""
    choices = [value if isinstance(value, list) else [value] for value in group.values()]
    combinations = itertools.product(*reversed(choices))
    return [dict(zip(group, reversed(combination), strict=True)) for combination in combinations]


def _at_cost(row: dict[str, Any]) -> dict[str, Any]:
    """A row that says `saved`, the share of the sample passes that the whole run leaves out, gets the prune rate that
    does so: the higher, the more of its epochs train on all the data."""
    if "saved" not in row:
        return row
    row = dict(row)
    saved, epochs, settings = row.pop("saved"), row["epochs"], row.get("settings", {})
    with_all = settings.get("warm_up", 0) + epochs - settings.get("anneal_from", epochs)
    kept = ((1 - saved) * epochs - with_all) / (epochs - with_all)
    if kept <= 0:
        raise ValueError(f"saved is {saved} in {epochs} epochs, of which {with_all} train on all the data: too much")
    return row | {"prune_rate": round(1 - kept, 4)}
