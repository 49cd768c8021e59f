"""Compare all methods at equal compute, forward passes included: differences from the RS2 baseline."""

from collections.abc import Sequence
from string import ascii_lowercase

import pandas as pd

from dynprune_lib.paths import PACKAGE
from dynprune_lib.report.frontier import measure_compute
from dynprune_lib.report.statistics import dunnett
from dynprune_lib.report.study import Study
from dynprune_lib.report.tables import name_rows

BASELINE = "RS2"  # full data in as many passes, cut into shorter epochs: it uses no scores
TOLERANCE = 0.05  # relative difference at equal compute: full data can only train for whole epochs
# published accuracies in %; a method is a sampler, or a label where that of its name here is a variant (SeTa)
PUBLISHED = PACKAGE / "report" / "published.csv"


def label_methods(runs: pd.DataFrame) -> pd.DataFrame:
    """Return `measure_compute` of the runs that can be compared at equal compute; `saved` is against the longest run.

    Runs more than TOLERANCE from the compute of the baseline at that level are left out: a method that re-scores is
    compared at the compute that it spends, or not at all.
    """
    table = measure_compute(runs)
    full = table.loc[table["method"] == "full", "compute"].max()
    cell = ["method_label", "rate", "variant"]  # one level for all seeds of a method
    compute = table.groupby(cell)["compute"].transform("mean")
    table = table.assign(saved=(1 - compute / full).round(1) + 0.0)
    baseline = table[table["method_label"] == BASELINE].groupby("saved")["compute"].mean()
    is_far = (compute / table["saved"].map(baseline) - 1).abs() > TOLERANCE
    return table[~is_far]


def label_studies(studies: Sequence[Study]) -> pd.DataFrame:
    """Return the labelled runs of several studies, each run once; `dataset` is the title."""
    tables = [label_methods(study.runs).assign(dataset=study.title) for study in studies]
    # a profile with one data set has some runs in both experiments
    return pd.concat(tables, ignore_index=True).drop_duplicates(["dataset", "method_label", "saved", "seed"])


def differences_from_baseline(runs: pd.DataFrame) -> pd.DataFrame:
    """Return `statistics.dunnett` of all methods, levels and data sets of `label_studies` against the baseline."""
    return dunnett(runs[runs["saved"] > 0], "method_label", BASELINE, ["dataset", "saved"]).reset_index()


def compared_with_published(runs: pd.DataFrame, source: str, dataset: str) -> pd.DataFrame:
    """Return the accuracies in % of a table of `label_methods` next to published ones of the same methods, as text: one
    row per method and source, one column per rate, with the difference from full data of that source in brackets."""
    own = runs[runs["modifier"] == ""].groupby(["method", "saved"])["test_accuracy"].mean()
    own = own.rename_axis(["method", "rate"]).reset_index().assign(source=source)
    others = pd.read_csv(PUBLISHED)
    others = others[others["dataset"] == dataset]
    both = pd.concat([own, others.assign(source=others["source"] + ": " + others["protocol"])])
    full = both["source"].map(both[both["method"] == "full"].groupby("source")["test_accuracy"].max())
    less = (both["test_accuracy"] - full).where(both["rate"] > 0).map(" ({:+.1f})".format, na_action="ignore")
    both = both.assign(text=both["test_accuracy"].map("{:.1f}".format) + less.fillna(""))
    both = both[both["method"].isin(set(others["method"]))]
    cells = both.pivot(index=["method", "source"], columns="rate", values="text").fillna("")
    return name_rows(cells.rename(columns=lambda rate: f"{rate:.0%}" if rate else "none"))


def letter_sources(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Replace the sources of `compared_with_published` by letters; return the table and the meaning of each letter."""
    letters = dict(zip(table.index.unique("source"), ascii_lowercase, strict=False))
    return table.rename(index=letters, level="source"), [f"{letter}: {source}" for source, letter in letters.items()]
