"""Compare a method of your own with full data, RS2 and annealed UCB at equal compute, as `dynprune compare` does."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.plan import Row, run
from dynprune_lib.experiments.precision import used_precision
from dynprune_lib.experiments.profile import Role, experiment_of
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec, check_choice
from dynprune_lib.experiments.sizes import EIGHTH, SIZES, Size
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import results_dir
from dynprune_lib.report.beyond_accuracy import wrong_labels_kept
from dynprune_lib.report.claims import decisions
from dynprune_lib.report.comparisons import contrast
from dynprune_lib.report.equal_compute import label_methods
from dynprune_lib.report.figures import plot_differences
from dynprune_lib.report.frontier import measure_compute
from dynprune_lib.report.statistics import holm
from dynprune_lib.report.style import style
from dynprune_lib.report.tables import (
    format_differences,
    format_mean,
    label_runs,
    label_with_settings,
    markdown,
    modifier,
    tabulate,
    varied_settings,
)
from dynprune_lib.samplers import sampler_class
from dynprune_lib.samplers.checks import integer
from dynprune_lib.testing import check_sampler

HALF = 0.5  # of the compute: the level of a comparison with wrong labels
MOST_SEEDS = 10  # that the records of a rival have
RIVALS = ("RS2", "UCB, annealed", "full data, fewer epochs")


@dataclass(frozen=True)
class Comparison:
    """Runs of a sampler and of its rivals, see `plan_comparison`.

    Args:
        own: runs of the sampler.
        rivals: runs on full data, of RS2 and of annealed UCB.
        roles: of all these runs, by their names at seed 0.
        committed: store of the records of the profile.
        made: store of the runs that are trained for the comparison.
        beyond: shares of the compute that the sampler cannot save with its settings.
    """

    own: list[RunSpec]
    rivals: list[RunSpec]
    roles: Mapping[str, Role]
    committed: Store
    made: Store
    beyond: Sequence[float] = ()

    @property
    def label(self) -> str:
        """Name of the sampler in tables of runs."""
        spec = self.own[0]
        run = {"method": spec.sampler, "modifier": modifier(spec), "own_length": spec.settings.get("fill") is False}
        return label_runs(pd.DataFrame([run])).iloc[0]

    @property
    def title(self) -> str:
        """Its name with all settings that differ from the defaults, and the share of wrong labels."""
        noise = self.own[0].label_noise
        name = label_with_settings(self.label, varied_settings(self.own[0]))
        return f"{name}, {noise:.0%} wrong labels" if noise else name

    def role(self, spec: RunSpec) -> Role:
        """Return the role of a run."""
        return self.roles[spec.seedless_name]

    def repeated(self, device: str) -> RunSpec | None:
        """Return a run of RS2 to make again if this machine computes in another precision than the records."""
        spec = next(spec for spec in self.rivals if spec.sampler == "rs2")
        record = self.committed.load(spec)
        here = used_precision(spec.precision, torch.device(device))
        return spec if record and record.environment["precision"] != here else None

    def to_train(self, device: str) -> list[RunSpec]:
        """Return the runs without a record, all methods at the first seed, then at the next."""
        missing = [spec for spec in self.own + self.rivals if not self.committed.has(spec)]
        again = self.repeated(device)
        wanted = [*missing, again] if again else missing
        return sorted((spec for spec in wanted if not self.made.has(spec)), key=lambda spec: spec.seed)

    @cached_property
    def records(self) -> list[RunRecord]:
        """The records of all runs.

        Raises:
            SpecError: a run has none.
        """
        runs = self.own + self.rivals
        found = [record for spec in runs if (record := self.committed.load(spec) or self.made.load(spec))]
        if missing := len(runs) - len(found):
            raise SpecError(f"{missing} runs have no record in {self.made.folder}: the same command trains them")
        return found

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Table of the records, see `tabulate`."""
        return tabulate(self.records, self.role)

    @cached_property
    def comparable(self) -> pd.DataFrame:
        """The runs at the levels of compute of RS2, see `label_methods`."""
        return label_methods(self.runs)


def plan_comparison(
    sampler: str,
    profile: str,
    *,
    results: Path | None = None,
    settings: dict[str, Any] | None = None,
    seeds: int = 3,
    label_noise: float = 0.0,
) -> Comparison:
    """Check a sampler, and return the runs that compare it with its rivals.

    The levels of compute are those of the profile's comparison at equal compute at which RS2 has committed records.
    Where it has none, as on `smoke` and with wrong labels, the rivals are to be trained, too.

    Args:
        sampler: "module:Class", or a name in SAMPLERS.
        profile: one of PROFILES.
        results: folder of the runs that are trained for comparisons, in `compare`. Default: `results` in the checkout,
            where the records of the profile are.
        settings: of the sampler. Default: its own defaults.
        seeds: number of seeds, at least 1. Default: 3.
        label_noise: share of wrong training labels, in [0, 1); above 0, half of the compute is the one level. Default:
            0.

    Raises:
        SpecError: the sampler breaks its contract, see `check_sampler`, or a value is not allowed.
    """
    check_choice("profile", profile, SIZES)
    settings, size = settings or {}, SIZES[profile]
    levels: Sequence[float] = (HALF,) if label_noise else (*size.saved, *size.much_saved)
    committed, made = Store(results_dir() / profile), Store(results_dir(results).resolve() / "compare")
    row = run(sampler=sampler, settings=settings, label_noise=label_noise)
    own, roles = _reachable(row, levels, size)  # names settings that do not exist
    _check(sampler, settings, seeds)
    rivals = experiment_of("", _rows_of_rivals(levels, label_noise), size, {})
    recorded = [spec for spec in _repeated(rivals.runs, MOST_SEEDS) if committed.has(spec)]
    known = {spec.prune_rate for spec in recorded if spec.sampler == "rs2"}
    compared = [spec for saved, spec in own.items() if saved in known or not known]
    return Comparison(
        _repeated(compared, seeds),
        recorded if known else _repeated(rivals.runs, seeds),
        rivals.roles | roles,
        committed,
        made,
        [saved for saved in levels if saved not in own],
    )


def _reachable(row: Row, levels: Sequence[float], size: Size) -> tuple[dict[float, RunSpec], dict[str, Role]]:
    """Return the run at each level that it can save, and its role; an annealed run cannot save most of its compute."""
    runs: dict[float, RunSpec] = {}
    roles: dict[str, Role] = {}
    errors = []
    for saved in levels:
        try:
            found = experiment_of("", [row | run(saved=saved)], size, {})
        except SpecError as error:
            errors.append(error)
        else:
            (runs[saved],) = found.runs
            roles |= found.roles
    if not runs:
        raise errors[0]
    return runs, roles


def _rows_of_rivals(levels: Sequence[float], label_noise: float) -> Iterator[Row]:
    yield run(sampler="full", label_noise=label_noise)
    yield run(sampler=["full", "rs2"], saved=levels, label_noise=label_noise)
    for saved in levels:
        yield run(sampler="ucb", saved=saved, label_noise=label_noise, anneal=EIGHTH if saved < 0.9 else EIGHTH / 2)


def _check(sampler: str, settings: dict[str, Any], seeds: int) -> None:
    try:
        integer("seeds", seeds, 1)
        kind = sampler_class(sampler)
        if sampler in ("full", "rs2"):
            raise SpecError(f"sampler is {sampler}, which every method is compared with: name another")
        check_sampler(kind, **({"prune_rate": HALF} | settings))
    except (AssertionError, ValueError) as error:
        raise SpecError(str(error)) from error


def _repeated(specs: Iterable[RunSpec], seeds: int) -> list[RunSpec]:
    return [replace(spec, seed=seed) for spec in specs for seed in range(seeds)]


# What is shown -------------------------------------------------------------------------------------------------------


def differences_from_rivals(comparison: Comparison) -> pd.DataFrame:
    """Return the differences of a sampler from its rivals at equal compute, all tested together (Holm).

    Args:
        comparison: with the records of all runs.

    Returns:
        A table of `statistics.holm` with the columns `baseline`, a rival, and `saved`, the share of the compute of full
        data that both save. A level at which the sampler's compute is not that of RS2 is left out.

    Raises:
        SpecError: there is no other level.
    """
    runs = comparison.comparable
    pairs = [(comparison.label, rival) for rival in RIVALS]
    table = contrast(runs[runs["saved"] > 0], "method_label", pairs, ["saved"], by="saved").reset_index()
    if table.empty:
        spent = ", ".join(cost_of_sampler(comparison)["compute"].map("{:.2f}x".format))
        raise SpecError(
            f"{comparison.title} cannot be compared: it spends {spent} the compute of full data, with scores before"
            " training and forward passes, and RS2 has no runs of as much"
        )
    return holm(table.drop(columns="method_label"))


def cost_of_sampler(comparison: Comparison) -> pd.DataFrame:
    """Return what the runs of a sampler cost, one row per prune rate.

    Returns:
        `compute`, relative to full data in as many epochs, forward passes included; `selecting`, the median seconds of
        an epoch, and `share`, that of its time.
    """
    own = {spec.name for spec in comparison.own}
    rows = [
        (comparison.role(record.spec).rate, epoch.selection_seconds, epoch.selection_seconds + epoch.training_seconds)
        for record in comparison.records
        if record.spec.name in own
        for epoch in record.epochs
    ]
    seconds = pd.DataFrame(rows, columns=["rate", "selecting", "epoch"]).groupby("rate").median()
    compute = _own_rows(measure_compute(comparison.runs), comparison).groupby("rate")["full_epochs"].mean()
    return pd.DataFrame(
        {
            "compute": compute / comparison.own[0].epochs,
            "selecting": seconds["selecting"],
            "share": seconds["selecting"] / seconds["epoch"],
        }
    )


def _own_rows(runs: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    return runs[runs["method_label"] == comparison.label]


def plot_comparison(comparison: Comparison, differences: pd.DataFrame) -> Figure:
    """Plot a table of `differences_from_rivals`."""
    rows = differences.sort_values(["saved", "baseline"], kind="stable")
    names = [f"{row.baseline}, {row.saved:.0%} saved" for row in rows.itertuples()]
    return plot_differences(rows.set_axis(names, axis=0), "rivals", f"{comparison.title} at equal compute")


def markdown_row(comparison: Comparison, differences: pd.DataFrame, profile: str) -> str:
    """Return a Markdown table of one row: the differences from RS2 and the decision."""
    rows = differences[differences["baseline"] == RIVALS[0]].sort_values("saved")
    cells = {"minus RS2": f"{comparison.title} ({profile}, n = {rows['n'].min():.0f})"}
    cells |= dict(zip(rows["saved"].map("{:.0%} saved".format), format_differences(rows), strict=True))
    cells |= {"better?": decisions(rows)["decision"].iloc[0]}
    return "\n".join(markdown(pd.DataFrame([cells]))) + "\n"


def describe(comparison: Comparison, differences: pd.DataFrame, device: str) -> str:
    """Return what `dynprune compare` prints."""
    shown = differences.assign(points=format_differences(differences), method=differences["baseline"])
    shown["saved"] = shown["saved"].map("{:.0%}".format)
    parts = [
        f"{comparison.title} minus its rivals at equal compute, in points of test accuracy (95 % intervals):",
        shown.set_index(["baseline", "saved"])[["points", "n", "p_family", "side"]].round(3).to_string(na_rep=""),
        "Is it better at every level? One decision for each rival:",
        decisions(shown).to_string(),
        "Compute spent, relative to full data, and seconds of selecting:",
        cost_of_sampler(comparison).round(4).to_string(),
    ]
    own = _own_rows(comparison.comparable, comparison)
    compared = set(own.loc[own["saved"].isin(differences["saved"]), "rate"])
    if left_out := {comparison.role(spec).rate for spec in comparison.own} - compared:
        rates = ", ".join(f"{rate:.0%}" for rate in sorted(left_out))
        parts.append(f"Not compared, since RS2 has no runs of this compute: the prune rate {rates}.")
    if comparison.beyond:
        rates = ", ".join(f"{saved:.0%}" for saved in comparison.beyond)
        parts.append(f"Not compared, since too many epochs are on all the data: {rates} saved.")
    wrong = wrong_labels_kept(comparison.records, comparison.role)
    if len(wrong):
        shares = wrong.groupby("method")["share"].mean().rename(lambda method: style(method).label)
        parts += ["Wrong labels in the subsets, in %:", shares.round(1).to_string()]
    if again := comparison.repeated(device):
        parts.append(_repetition(comparison, again))
    return "\n\n".join(parts)


def _repetition(comparison: Comparison, spec: RunSpec) -> str:
    here = comparison.made.load(spec)
    records = [record for each in comparison.rivals if (record := comparison.committed.load(each))]
    there = [record for record in records if record.spec.seedless_name == spec.seedless_name]
    assert here
    return (
        f"This machine computes in {here.environment['precision']}, the records are in"
        f" {there[0].environment['precision']}. As a check, RS2 at {spec.prune_rate:.0%}, one seed:"
        f" {100 * here.test_accuracy:.1f} % here, {format_mean(100 * each.test_accuracy for each in there)} % there."
    )
