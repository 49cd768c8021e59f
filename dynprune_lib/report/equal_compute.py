"""Compare all methods at equal compute: the same number of sample passes, differences from the RS2 baseline."""

from string import ascii_lowercase

import pandas as pd
import yaml
from scipy import stats

from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.paths import PACKAGE, results_dir
from dynprune_lib.report.study import best_records, load_study
from dynprune_lib.report.style import style
from dynprune_lib.report.tables import epoch_seconds, label_runs, name_rows, paired_difference

BASELINE = "RS2"  # full data in as many passes, cut into shorter epochs: it uses no scores
TOLERANCE = 0.05  # relative difference in passes at equal compute: full data can only train for whole epochs
FAILED = 5  # percentage points below the baseline: methods that fail vary far more than the others
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


def differences_from_baseline(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the difference of each method from the baseline at equal compute, paired by seed.

    Args:
        runs: a table of `label_methods`.

    Returns:
        One row per method and compute saved; columns `method_label`, `mean`, `ci95`, `n` (see `paired_difference`),
        `saved` and `wins`, see `winners`.
    """
    tables = []
    for saved, group in runs[runs["saved"] > 0].groupby("saved"):
        is_baseline = group["method_label"] == BASELINE
        table = paired_difference(group[~is_baseline], group[is_baseline], by="method_label", on=["seed"]).reset_index()
        tables.append(table.assign(saved=saved, wins=table["method_label"].isin(winners(group))))
    return pd.concat(tables, ignore_index=True)


def winners(runs: pd.DataFrame) -> set[str]:
    """Return the methods that are significantly better than the baseline at one level of compute.

    Dunnett's test (1955) compares many means with one control, with the family-wise error rate held at 5 %. It assumes
    equal variances: methods that are FAILED percentage points below the baseline violate that and are left out, as are
    methods with a single seed.

    Args:
        runs: rows of `label_methods` with one value of `saved`.
    """
    samples = {label: group["test_accuracy"] for label, group in runs.groupby("method_label") if len(group) > 1}
    baseline = samples.pop(BASELINE, pd.Series(dtype=float)).to_numpy()
    samples = {
        label: sample.to_numpy() for label, sample in samples.items() if sample.mean() > baseline.mean() - FAILED
    }
    if not samples:
        return set()
    tested = stats.dunnett(*samples.values(), control=baseline, rng=0)
    is_better = (tested.pvalue < 0.05) & (tested.statistic > 0)
    return {label for label, wins in zip(samples, is_better, strict=True) if wins}


def tilted_rs2_differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the difference of tilted RS2 from RS2 in an experiment of these two methods alone.

    Returns:
        The columns of `differences_from_baseline`; with a single comparison, `wins` means that the mean is above zero
        by more than its interval.
    """
    tilted, baseline = (runs[runs["method"] == method] for method in ("tilted-rs2", "rs2"))
    table = paired_difference(tilted, baseline).reset_index(names="saved")
    return table.assign(method_label=style("tilted-rs2").label, wins=table["mean"] > table["ci95"])


def all_differences() -> tuple[pd.DataFrame, str] | None:
    """Return all differences from the baseline in the largest profile with a complete equal-compute comparison.

    Returns:
        The table of `differences_from_baseline`, with tilted RS2 and the other data set where the profile has them, and
        the caption of the comparison. The column `dataset` is the title of the other data set, empty for the
        comparison's own. None if no profile is complete.
    """
    profile, records = best_records("equal_compute", results_dir())
    if not records:
        return None
    study = load_study("equal_compute")
    tables = [differences_from_baseline(label_methods(study.runs)).assign(dataset="")]
    if best_records("tilted_rs2", results_dir())[0] == profile:
        tables.append(tilted_rs2_differences(load_study("tilted_rs2").runs).assign(dataset=""))
    if best_records("equal_compute_elsewhere", results_dir())[0] == profile:
        other = load_study("equal_compute_elsewhere")
        title = "" if other.title == study.title else other.title
        tables.append(differences_from_baseline(label_methods(other.runs)).assign(dataset=title))
    # a profile with one data set has some runs in both experiments
    return pd.concat(tables, ignore_index=True).drop_duplicates(["method_label", "saved", "dataset"]), study.caption


def epoch_times(records: list[RunRecord]) -> pd.DataFrame:
    """Return the seconds per pruned epoch of each method, see `epoch_seconds`, and their ratio to RS2's."""
    seconds = epoch_seconds(records).droplevel("rate").rename_axis("method")
    return pd.DataFrame({"seconds": seconds, "relative to RS2": seconds / seconds["rs2"]})


def candidates(differences: pd.DataFrame) -> pd.DataFrame:
    """Return the methods that were run with several seeds at every level of compute saved.

    Args:
        differences: a table of `all_differences`.

    Returns:
        Columns `wins`, whether the method wins at some level; `loses`, whether it is below the baseline by more than
        the interval at some level or on the other data set; `mean` difference over the levels; indexed by
        `method_label`.
    """
    several = differences.dropna(subset="ci95")
    loses = (several["mean"] < -several["ci95"]).groupby(several["method_label"]).any().rename("loses")
    own = several[several["dataset"] == ""].groupby("method_label")
    table = own.agg({"wins": "any", "saved": "nunique", "mean": "mean"})
    table = table.drop(style("fewer-epochs").label, errors="ignore")  # not a sampler
    return table[table["saved"] == differences["saved"].nunique()].join(loses)


def recommended(differences: pd.DataFrame) -> str | None:
    """Return the label of the method to try first.

    Args:
        differences: a table of `all_differences`.

    Returns:
        Of the candidates that win somewhere and lose nowhere, the one with the highest mean difference; the baseline
        if there is none. None without candidates.
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
        Test accuracy in % as text, with the difference from full data of the same source in brackets: one row per
        method and source, one column per rate. Methods for which nothing is published are left out.
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
            f"{accuracy:.1f}" + (f" ({accuracy - full:+.1f})" if rate else "")
            for accuracy, rate in zip(table["test_accuracy"], table["rate"], strict=True)
        ]
        tables.append(table.assign(text=text))
    both = pd.concat(tables)
    both = both[both["method"].isin(set(others["method"]))]
    cells = both.pivot(index=["method", "source"], columns="rate", values="text").fillna("")
    return name_rows(cells.rename(columns=lambda rate: f"{rate:.0%}" if rate else "none"))


def format_published(table: pd.DataFrame) -> str:
    """Format a table of `compared_with_published` as text, with a letter for each source and a legend below."""
    if table.empty:
        return "nothing is available for this data set"
    letters = dict(zip(table.index.unique("source"), ascii_lowercase, strict=False))
    legend = [f"{letter}: {source}" for source, letter in letters.items()]
    return "\n".join([table.rename(index=letters, level="source").to_string(), "", *legend])


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
