"""What a notebook works with: the runs of one figure of one profile, and where its figures and verdicts go."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from dynprune_lib.errors import SweepError
from dynprune_lib.experiments.data import ImageData, dataset_title, load_dataset
from dynprune_lib.experiments.profile import PROFILES, Experiment, Profile, load_profile
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import ensure_runs
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import results_dir, root
from dynprune_lib.report.tables import tabulate
from dynprune_lib.report.verdicts import Verdict

PASSES_PER_SECOND = {"tiny": 15_000, "strided": 5_000, "small": 2_000, "resnet18": 40}  # on one CPU core, roughly


@dataclass(frozen=True)
class Study:
    """The runs of the experiment `name` of a profile."""

    name: str
    profile: Profile
    records: list[RunRecord]
    store: Store
    data_dir: str | Path | None

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The records as a table, see `tabulate`."""
        return tabulate(self.records, self.experiment.role)

    @property
    def experiment(self) -> Experiment:
        """The experiment of the profile."""
        return self.profile.experiments[self.name]

    @property
    def caption(self) -> str:
        """What was trained, and how often."""
        return f"{self.title}, {self.profile.about}, {self.count}"

    @property
    def count(self) -> str:
        """How often each run was made, with other seeds."""
        seeds = self.runs.groupby(["dataset", "method", "variant", "model", "rate", "epochs"])["seed"].nunique()
        return f"n = {seeds.max()}" if seeds.min() == seeds.max() else f"n = {seeds.min()} to {seeds.max()}"

    @property
    def title(self) -> str:
        """Of the data set."""
        return dataset_title(self.records[0].spec.dataset)

    @property
    def epochs(self) -> int:
        """Of the longest run."""
        return max(record.spec.epochs for record in self.records)

    @property
    def samples_of_full_data(self) -> int:
        """Sample passes of full data in as many epochs: what costs are shares of."""
        # those of an epoch with all the data: the ring has full data, the ablations have a warm-up and annealing
        return self.epochs * max(epoch.samples_kept for record in self.records for epoch in record.epochs)

    @property
    def folder(self) -> Path:
        """Of the profile's figures and verdicts."""
        return root() / "figures" / self.profile.name

    def data(self) -> ImageData:
        """The data set of the runs.

        Raises:
            DataError: it is not here: records need no images.
        """
        return load_dataset(self.records[0].spec.dataset, self.data_dir)

    def save(self, figure: Figure, data: pd.DataFrame, name: str | None = None) -> None:
        """Write NAME.png, NAME.pdf and NAME.csv, the numbers behind the figure, to the folder.

        Args:
            figure: the figure.
            data: its numbers.
            name: NAME. Default: the name of the study.

        Raises:
            StoreNotWritable: the folder cannot be written; every file is then the old one or the new one.
        """
        png, pdf, target = io.BytesIO(), io.BytesIO(), self.folder / (name or self.name)
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        atomic_write(target.with_suffix(".png"), png.getvalue())
        atomic_write(target.with_suffix(".pdf"), pdf.getvalue())
        atomic_write(target.with_suffix(".csv"), data.to_csv(index=False, float_format="%.6g").encode())

    def record_verdict(
        self, claim: str, title: str, verdict: str, evidence: str, studies: "Sequence[Study] | None" = None
    ) -> None:
        """Prints a verdict and keeps it; it is of this study alone unless it is of all those of `studies`."""
        provenance = "; ".join(dict.fromkeys(study.caption for study in studies or [self]))
        found = Verdict(
            claim=claim,
            title=title,
            verdict=verdict,
            evidence=evidence,
            provenance=provenance,
            notebook=f"{self.experiment.notebook}.ipynb",
        )
        found.save(self.folder)
        print(found)


def load_study(
    name: str,
    profile: str | None = None,
    *,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    results: str | Path | None = None,
    seeds: Iterable[int] | None = None,
    train: bool | None = None,
) -> Study:
    """Read the records of an experiment, and train the missing runs if asked to.

    Args:
        name: an experiment of the profile.
        profile: one of PROFILES. Default: the largest that has a record of each run for at least one of the seeds, else
            `smoke`.
        dataset: another data set than the profile's.
        data_dir: folder of the data sets, see `load_dataset`.
        results: folder of the run records. Default: `results` in the checkout.
        seeds: other seeds than the profile's.
        train: whether to train the runs that have no record. Default: only if `profile` is given, so that nothing long
            starts unasked.

    Raises:
        SweepError: records are missing that are not to be trained, or that could not be made.
    """
    folder = results_dir(results)
    seeds = seeds and list(seeds)
    train = profile is not None if train is None else train
    profile, records = (profile, []) if profile else best_records(name, folder, seeds, dataset)
    found = load_profile(profile, dataset)
    store = Store(folder / found.name)
    missing = [] if train or records else [spec for spec in found.runs(name, seeds) if not store.has(spec)]
    if missing:
        raise SweepError(
            f"{len(missing)} runs of {name} have no record in {store.folder}: name the profile ({profile!r}) or pass"
            f" train=True to train them, {_estimate(missing, data_dir)}"
        )
    records = records or ensure_runs(found, name, data_dir=data_dir, results=results, seeds=seeds)
    return Study(name, found, records, store, data_dir)


def _estimate(specs: list[RunSpec], data_dir: str | Path | None) -> str:
    """Return roughly how long runs take, without the scores that some compute before training."""
    sizes = {name: len(load_dataset(name, data_dir).train) for name in {spec.dataset for spec in specs}}
    passes = [spec.epochs * (1 - spec.prune_rate) * sizes[spec.dataset] for spec in specs]
    seconds = sum(count / PASSES_PER_SECOND[spec.model] for count, spec in zip(passes, specs, strict=True))
    return f"{sum(passes):,.0f} sample passes, about {max(1, seconds / 60):.0f} min on one CPU core"


def best_records(
    experiment: str, results: Path, seeds: list[int] | None = None, dataset: str | None = None
) -> tuple[str, list[RunRecord]]:
    """Return the largest profile that has a record of each run of an experiment for at least one seed, with all its
    records of the experiment; `smoke` and no records if there is none."""
    for name in reversed(PROFILES[1:]):
        found = load_profile(name, dataset)
        store, runs = Store(results / found.name), found.runs(experiment, seeds)
        there = [spec for spec in runs if store.has(spec)]
        if {replace(spec, seed=0).name for spec in there} == {replace(spec, seed=0).name for spec in runs}:
            return name, [record for spec in there if (record := store.load(spec))]
    return PROFILES[0], []
