"""Compare all methods at equal compute: the same number of sample passes, differences from the RS2 baseline."""

from collections.abc import Sequence
from string import ascii_lowercase

import pandas as pd
import yaml

from dynprune_lib.paths import PACKAGE, results_dir
from dynprune_lib.report.statistics import dunnett
from dynprune_lib.report.study import Study, best_records, load_study
from dynprune_lib.report.style import style
from dynprune_lib.report.tables import label_runs, name_rows

BASELINE = "RS2"  # full data in as many passes, cut into shorter epochs: it uses no scores
TOLERANCE = 0.05  # relative difference in passes at equal compute: full data can only train for whole epochs
PUBLISHED = PACKAGE / "report" / "published.yaml"


def label_methods(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that can be compared at equal compute, with a label and their compute saved.

    Args:
        runs: a table of `tabulate` with runs on full data.

    Returns:
        The table with two more columns: `method_label`, the label of the method and its modifiers, such as "UCB,
        annealed"; `saved`, the compute saved as a share of the sample passes of full data, to the nearest tenth. Runs
        whose passes differ from those of the baseline by more than TOLERANCE are left out.
    """
    full = runs.loc[runs["method"] == "full", "passes"].max()
    table = runs.assign(method_label=label_runs(runs), saved=(1 - runs["passes"] / full).round(1))
    baseline = table[table["method_label"] == BASELINE].groupby("saved")["passes"].mean()
    is_far = (table["passes"] / table["saved"].map(baseline) - 1).abs() > TOLERANCE
    return table[~is_far]


def label_studies(studies: Sequence[Study]) -> pd.DataFrame:
    """Return the labelled runs of several studies, each run once, with the title of the data set as `dataset`."""
    tables = [label_methods(study.runs).assign(dataset=study.title) for study in studies]
    # a profile with one data set has some runs in both experiments
    return pd.concat(tables, ignore_index=True).drop_duplicates(["dataset", "method_label", "saved", "seed"])


def differences_from_baseline(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the difference of each method from the baseline at equal compute.

    All methods, levels of compute and data sets are one question, see `statistics.dunnett`.

    Args:
        runs: a table of `label_studies`.

    Returns:
        One row per data set, compute saved and method: columns `dataset`, `saved`, `method_label` and those of
        `statistics.dunnett`.
    """
    return dunnett(runs[runs["saved"] > 0], "method_label", BASELINE, ["dataset", "saved"]).reset_index()


def all_differences() -> tuple[pd.DataFrame, str] | None:
    """Return all differences from the baseline in the largest profile with a complete equal-compute comparison.

    Returns:
        The table of `differences_from_baseline`, with the other data set where the profile has it, and the caption of
        the comparison. The column `dataset` is the title of the other data set, empty for the comparison's own. None if
        no profile is complete.
    """
    profile, records = best_records("equal_compute", results_dir())
    if not records:
        return None
    study = load_study("equal_compute")
    studies = [study]
    if best_records("equal_compute_elsewhere", results_dir(), first=profile)[0] == profile:
        studies.append(load_study("equal_compute_elsewhere", beside=study))
    table = differences_from_baseline(label_studies(studies))
    return table.replace({"dataset": {study.title: ""}}), study.caption


def candidates(differences: pd.DataFrame) -> pd.DataFrame:
    """Return the methods that were run with several seeds at every level of compute saved of every data set.

    Args:
        differences: a table of `all_differences`.

    Returns:
        Columns `wins` and `loses`, whether the method is above or below the baseline at some level on some data set;
        `mean` difference over the levels of the comparison's own data set; indexed by `method_label`.
    """
    several = differences.dropna(subset="ci95")
    table = several.groupby("method_label")["side"].agg(
        wins=lambda side: (side == "above").any(), loses=lambda side: (side == "below").any(), levels="size"
    )
    table["mean"] = several[several["dataset"] == ""].groupby("method_label")["mean"].mean()
    table = table.drop(style("fewer-epochs").label, errors="ignore")  # not a sampler
    is_complete = table.pop("levels") == len(differences[["dataset", "saved"]].drop_duplicates())
    return table[is_complete]


def recommended(differences: pd.DataFrame) -> str | None:
    """Return the label of the method to try first.

    Args:
        differences: a table of `all_differences`.

    Returns:
        Of the candidates that are above the baseline somewhere and below it nowhere, on any data set, the one with the
        highest mean difference; the baseline if there is none. None without candidates.
    """
    table = candidates(differences)
    if table.empty:
        return None
    table = table[table["wins"] & ~table["loses"]]
    return BASELINE if table.empty else table["mean"].idxmax()


def compared_with_published(runs: pd.DataFrame, source: str, dataset: str) -> pd.DataFrame:
    """Return accuracies next to those that others have published.

    Args:
        runs: a table of `label_methods`.
        source: description of these runs.
        dataset: name of the data set.

    Returns:
        Test accuracy in % as text, with the difference from full data of the same source, where it is known, in
        brackets: one row per method and source, one column per rate. Methods for which nothing is published are left
        out.
    """
    own = runs[runs["modifier"] == ""].groupby(["method", "saved"])["test_accuracy"].mean()
    own = own.rename_axis(["method", "rate"]).reset_index().assign(source=source)
    others = published()
    others = others[others["dataset"] == dataset]
    others = others.assign(source=others["source"] + ": " + others["protocol"])
    tables = []
    for _, table in pd.concat([own, others]).groupby("source", sort=False):
        full = table.loc[table["method"] == "full", "test_accuracy"].max()
        text = [
            f"{accuracy:.1f}" + (f" ({accuracy - full:+.1f})" if rate and pd.notna(full) else "")
            for accuracy, rate in zip(table["test_accuracy"], table["rate"], strict=True)
        ]
        tables.append(table.assign(text=text))
    both = pd.concat(tables)
    both = both[both["method"].isin(set(others["method"]))]
    cells = both.pivot(index=["method", "source"], columns="rate", values="text").fillna("")
    return name_rows(cells.rename(columns=lambda rate: f"{rate:.0%}" if rate else "none"))


def letter_sources(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of `compared_with_published` with a letter for each source, and what the letters stand for."""
    letters = dict(zip(table.index.unique("source"), ascii_lowercase, strict=False))
    return table.rename(index=letters, level="source"), [f"{letter}: {source}" for source, letter in letters.items()]


def published() -> pd.DataFrame:
    """Return published results: columns `dataset`, `method`, `rate`, `test_accuracy` in %, `source`, `protocol`."""
    rows = []
    for group in yaml.safe_load(PUBLISHED.read_text()):
        for dataset, methods in group["test_accuracy"].items():
            for method, values in methods.items():
                values = values if isinstance(values, dict) else {0.0: values}
                for rate, accuracy in values.items():
                    rows.append((dataset, method, rate, accuracy, group["source"], group["protocol"]))
    return pd.DataFrame(rows, columns=["dataset", "method", "rate", "test_accuracy", "source", "protocol"])
