"""Open the runs of an experiment in a notebook, and save its figures and the numbers behind its claims."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from dynprune_lib.errors import DataError, SpecError, SweepError
from dynprune_lib.experiments.data import TensorData, dataset_title, load_dataset
from dynprune_lib.experiments.plan import EXPERIMENTS
from dynprune_lib.experiments.profile import FEWER_EPOCHS, PROFILES, RECORDED, Experiment, Profile, Role, load_profile
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec, check_choice
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import results_dir, root
from dynprune_lib.report.claims import decisions
from dynprune_lib.report.style import device_title, model_title
from dynprune_lib.report.tables import tabulate

PASSES_PER_SECOND = {  # on one CPU core, roughly
    "mlp": 100_000,
    "bag": 20_000,
    "tiny": 15_000,
    "strided": 5_000,
    "small": 2_000,
    "speedrun": 550,
    "speedrun-wide": 200,
    "speedrun-wider": 80,
    "resnet18": 40,
    "tiny-bert": 1_000,
    "minilm": 55,
}


@dataclass(frozen=True)
class Study:
    """The runs of one experiment at one profile, see `open_study`."""

    name: str
    profile: Profile
    records: list[RunRecord]
    store: Store
    data_dir: str | Path | None

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Table of the records, see `tabulate`."""
        return tabulate(self.records, self.role)

    def role(self, spec: RunSpec) -> Role:
        """Return the role of a run in the experiment."""
        return self.experiment.role(spec)

    @property
    def experiment(self) -> Experiment:
        """The plan of the experiment."""
        return self.profile.experiments[self.name]

    @property
    def caption(self) -> str:
        """Data set, models, epochs, devices, precisions if mixed, and number of seeds, as recorded."""
        records = [each for each in self.records if self.role(each.spec).method != FEWER_EPOCHS]
        models = " and ".join(dict.fromkeys(model_title(record.spec.model) for record in records))
        epochs = [record.spec.epochs for record in records]
        seeds = self.runs.groupby(["dataset", "method", "variant", "model", "rate", "epochs"])["seed"].nunique()
        devices = " and ".join(dict.fromkeys(device_title(record.environment["device"]) for record in records))
        precisions = dict.fromkeys(record.environment["precision"] for record in records)
        mixed = f", {' and '.join(precisions)}" if len(precisions) > 1 else ""
        return f"{self.title}, {models}, {_range(epochs)} epochs, {devices}{mixed}, n = {_range(seeds)}"

    @property
    def title(self) -> str:
        """Title of the data set, or of several."""
        return ", ".join(dict.fromkeys(dataset_title(record.spec.dataset) for record in self.records))

    @property
    def epochs(self) -> int:
        """Epochs of the longest run."""
        return max(record.spec.epochs for record in self.records)

    @property
    def folder(self) -> Path:
        """Folder of the profile's figures and claims."""
        return root() / "figures" / self.profile.name

    def data(self) -> TensorData:
        """Load the data set of the runs; DataError if it is not available."""
        return load_dataset(self.records[0].spec.dataset, self.data_dir)

    def save(self, figure: Figure, data: pd.DataFrame, name: str | None = None) -> None:
        """Save a figure as NAME.png and NAME.pdf, and its data as NAME.csv; NAME is by default the experiment's."""
        pdf, target = io.BytesIO(), self.folder / (name or self.name)
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        atomic_write(target.with_suffix(".png"), png(figure))
        atomic_write(target.with_suffix(".pdf"), pdf.getvalue())
        self._save_numbers(target.name, data)

    def headline(self, message: str, profile: str, neutral: str) -> str:
        """Return the title and setting of a figure: `message`, which was written for one profile, or a neutral title
        elsewhere."""
        return f"{message if self.profile.name == profile else neutral}\n{self.caption}"

    def decide(self, claim: str, cells: pd.DataFrame) -> pd.DataFrame:
        """Save the settings of a claim as `claim_NAME.csv` and return its decisions, see `claims.decisions`."""
        self._save_numbers(f"claim_{claim}", cells)
        return decisions(cells)

    def _save_numbers(self, name: str, table: pd.DataFrame) -> None:
        atomic_write(self.folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g").encode())


def _range(values: Iterable[int]) -> str:
    lowest, highest = min(values), max(values)
    return str(lowest) if lowest == highest else f"{lowest} to {highest}"


def open_study(
    name: str,
    profile: str,
    *,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    results: str | Path | None = None,
    seeds: Iterable[int] | None = None,
    train: bool = False,
) -> Study:
    """Read the records of an experiment; train the missing runs on request.

    If the profile has no runs of the experiment, the next smaller profile that has some is used, else the next larger.
    The smallest profile has no committed records and is never replaced.

    Args:
        name: an experiment of the plan.
        profile: one of PROFILES.
        dataset: data set of all runs. Default: the profile's.
        data_dir: folder of the data sets. Default: see `load_dataset`.
        results: folder of the run records. Default: `results` in the checkout.
        seeds: seeds of the runs. Default: the profile's.
        train: train the runs that have no record. Default: False.

    Raises:
        SpecError: unknown profile or experiment, or `seeds` are not integers.
        SweepError: a run has no record at any seed and `train` is false, or runs failed.
    """
    chosen, seeds = _with_runs(name, profile, dataset), None if seeds is None else checked_seeds(seeds)
    store = Store(results_dir(results) / chosen.name)
    if train:
        specs = chosen.runs(name, seeds)
        sweep(specs, Plan(store, data_dir, jobs=1, threads=chosen.threads))
        if left := sum(not store.has(spec) for spec in specs):
            raise SweepError(
                f"{left} runs are not made: another process trains them or uses their device, try again later"
            )
    return Study(name, chosen, _records(chosen, name, store, seeds, data_dir), store, data_dir)


def checked_seeds(seeds: Any) -> list[int]:
    """Return the seeds as a list; SpecError if they are not integers, at least one."""
    found = list(seeds) if isinstance(seeds, Iterable) else []
    if {type(seed) for seed in found} != {int}:
        raise SpecError(
            f"the parameter seeds is {seeds!r}: it must be a list of integers, such as [0, 1]; with papermill,"
            " -y 'seeds: [0, 1]'"
        )
    return found


def smaller_studies(study: Study) -> list[Study]:
    """Return the same experiment in the smaller profiles with committed records, the largest first."""
    if study.profile.name not in RECORDED:
        return []
    names = reversed(RECORDED[: RECORDED.index(study.profile.name)])
    return [open_study(study.name, name, results=study.store.folder.parent, data_dir=study.data_dir) for name in names]


def _with_runs(name: str, profile: str, dataset: str | None) -> Profile:
    """Return the profile, or the nearest one with committed records that has runs of the experiment."""
    check_choice("profile", profile, PROFILES)
    check_choice("experiment", name, EXPERIMENTS)
    smaller, larger = PROFILES[: PROFILES.index(profile)], PROFILES[PROFILES.index(profile) + 1 :]
    others = [each for each in (*reversed(smaller), *larger) if profile in RECORDED and each in RECORDED]
    candidates = [load_profile(each, dataset) for each in (profile, *others)]
    return next((each for each in candidates if each.experiments[name].runs), candidates[0])


def _records(
    profile: Profile, name: str, store: Store, seeds: list[int] | None, data_dir: str | Path | None
) -> list[RunRecord]:
    """Return the records of an experiment; each run needs one for at least one seed."""
    runs = profile.runs(name, seeds)
    recorded = [spec for spec in runs if store.has(spec)]
    found = {spec.seedless_name for spec in recorded}
    if missing := [spec for spec in runs if spec.seedless_name not in found]:
        raise SweepError(
            f"{len(missing)} runs of {name} have no record in {store.folder}: train=True trains them"
            f" ({_estimate(missing, data_dir)})"
        )
    return [record for spec in recorded if (record := store.load(spec))]


def png(figure: Figure) -> bytes:
    """Return a figure as a file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=200)
    return small_png(content.getvalue())


def small_png(content: bytes) -> bytes:
    """Return an image in 256 colours without transparency: a third of the bytes."""
    small = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(256).save(small, "png", optimize=True)
    return small.getvalue()


def _estimate(specs: list[RunSpec], data_dir: str | Path | None) -> str:
    """Return roughly how long runs take, without scoring before training."""
    try:
        sizes = {name: len(load_dataset(name, data_dir).train) for name in {spec.dataset for spec in specs}}
    except DataError as error:
        return f"which needs the data: {error}"
    passes = [spec.epochs * (1 - spec.prune_rate) * sizes[spec.dataset] for spec in specs]
    seconds = sum(count / PASSES_PER_SECOND[spec.model] for count, spec in zip(passes, specs, strict=True))
    return f"{sum(passes):,.0f} sample passes, about {max(1, seconds / 60):.0f} min on one CPU core"
