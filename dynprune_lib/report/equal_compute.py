"""The fair ring: every rule of selection at one cost, beside a plain shuffled pass over the data."""

from string import ascii_lowercase

import pandas as pd
import yaml
from scipy import stats

from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.paths import PACKAGE, results_dir
from dynprune_lib.report.study import best_records, load_study
from dynprune_lib.report.style import style
from dynprune_lib.report.tables import against, differences, epoch_seconds, name_rows, paired_differences

PLAIN = "RS2"  # full data in as many passes, cut into shorter epochs: the rule that no score enters
NEAR = 0.05  # by how much passes may differ at one cost: whole epochs of full data cannot always come close
FAILED = 5  # points below PLAIN: rules that fail vary far more than the others
PUBLISHED = PACKAGE / "report" / "published.yaml"


def rules(runs: pd.DataFrame) -> pd.DataFrame:
    """The table of `tabulate` with the columns `rule`, by name and way, and `saved`, the measured share of the passes
    of full data that a run leaves out, to the nearest tenth; without the runs whose passes are over NEAR more or fewer
    than those of PLAIN there."""
    full = runs.loc[runs["method"] == "full", "passes"].max()
    names = runs["method"].map(lambda method: style(method).label) + runs["way"].map(lambda way: way and f", {way}")
    table = runs.assign(rule=names, saved=(1 - runs["passes"] / full).round(1))
    plain = table[table["rule"] == PLAIN].groupby("saved")["passes"].mean()
    is_far = (table["passes"] / table["saved"].map(plain) - 1).abs() > NEAR
    return table[~is_far]


def against_plain(runs: pd.DataFrame) -> pd.DataFrame:
    """By how many points of accuracy each rule of `rules` is above PLAIN at the same cost, paired by seed: a row a rule
    and share saved, columns rule, saved, mean, half, n; and `wins`: see `winners`."""
    tables = []
    for saved, group in runs[runs["saved"] > 0].groupby("saved"):
        is_plain = group["rule"] == PLAIN
        found = against(group[is_plain], group[~is_plain], by="rule").reset_index()
        tables.append(found.assign(saved=saved, wins=found["rule"].isin(winners(group))))
    return pd.concat(tables, ignore_index=True)


def compared_at_one_cost(runs: pd.DataFrame) -> pd.DataFrame:
    """`against_plain` of the table of `tabulate`."""
    return against_plain(rules(runs))


def winners(runs: pd.DataFrame) -> set[str]:
    """The rules above PLAIN, at one cost, by the test of Dunnett (1955) of many means against one control: at 5 % for
    all of them together, since the best of many looks better than it is. It takes the accuracies of all rules to spread
    alike: those FAILED points below PLAIN, which do not, and those with a single seed are left out."""
    samples = {rule: group["test_accuracy"] for rule, group in runs.groupby("rule") if len(group) > 1}
    plain = samples.pop(PLAIN, pd.Series(dtype=float)).to_numpy()
    samples = {rule: sample.to_numpy() for rule, sample in samples.items() if sample.mean() > plain.mean() - FAILED}
    if not samples:
        return set()
    tested = stats.dunnett(*samples.values(), control=plain, rng=0)
    above = (tested.pvalue < 0.05) & (tested.statistic > 0)
    return {rule for rule, is_above in zip(samples, above, strict=True) if is_above}


def ours(runs: pd.DataFrame) -> pd.DataFrame:
    """By how many points our own rule is above PLAIN in runs of these two, as `against_plain` has it; it `wins` where
    that is more than the interval."""
    found = paired_differences(runs, "tilted-rs2", "rs2").reset_index(names="saved")
    return found.assign(rule=style("tilted-rs2").label, wins=found["mean"] > found["half"])


def all_differences() -> tuple[pd.DataFrame, str] | None:
    """What there is of the largest profile that has a record of each run of the ring, and its caption; None if there is
    none: the tables of `against_plain` and `ours`, and of `against_plain` on another data set, whose title is in the
    column `dataset`, empty for the ring's."""
    profile, records = best_records("equal_compute", results_dir())
    if not records:
        return None
    study = load_study("equal_compute")
    found = [compared_at_one_cost(study.runs).assign(dataset="")]
    for name, compared in (("tilted_rs2", ours), ("equal_compute_elsewhere", compared_at_one_cost)):
        if best_records(name, results_dir())[0] == profile:
            more = load_study(name)
            found.append(compared(more.runs).assign(dataset="" if more.title == study.title else more.title))
    # a profile without another data set has some runs of the ring twice
    return pd.concat(found, ignore_index=True).drop_duplicates(["rule", "saved", "dataset"]), study.caption


def epoch_times(records: list[RunRecord]) -> pd.DataFrame:
    """Seconds of a pruned epoch by method, with selecting, recording and scoring inside, of runs that had the device
    alone; and as a multiple of RS2's."""
    seconds = epoch_seconds(records).droplevel("rate").rename_axis("method")
    return pd.DataFrame({"seconds": seconds, "times RS2": seconds / seconds["rs2"]})


def gains(runs: pd.DataFrame, way: str) -> pd.DataFrame:
    """By how many points of accuracy each method is above itself when it is used in a `way` at the same cost, paired by
    seed: a row a method and share saved, columns rule, saved, mean, half, n."""
    tables = []
    for saved, group in runs[runs["saved"] > 0].groupby("saved"):
        one, two = (group[group["way"] == each] for each in (way, ""))
        found = differences(one, two, by="method").reset_index(names="rule")
        tables.append(found.assign(rule=found["rule"].map(lambda name: style(name).label), saved=saved))
    return pd.concat(tables, ignore_index=True)


def candidates(found: pd.DataFrame) -> pd.DataFrame:
    """The rules of a table of `all_differences` that were run with several seeds at every share saved: a row each, with
    the columns `wins` (at some share), `loses` (by more than the interval, at some share or on another data set) and
    `mean`, over the shares."""
    judged = found.dropna(subset="half")
    loses = (judged["mean"] < -judged["half"]).groupby(judged["rule"]).any().rename("loses")
    here = judged[judged["dataset"] == ""].groupby("rule").agg({"wins": "any", "saved": "nunique", "mean": "mean"})
    here = here.drop(style("fewer-epochs").label, errors="ignore")  # no sampler
    return here[here["saved"] == found["saved"].nunique()].join(loses)


def recommended(found: pd.DataFrame) -> str | None:
    """The rule to try first, of a table of `all_differences`: of the candidates that win over PLAIN and lose nowhere,
    the one with the highest mean; PLAIN itself where there is none such. None where there are no candidates."""
    rules = candidates(found)
    if rules.empty:
        return None
    fit = rules[rules["wins"] & ~rules["loses"]]
    return PLAIN if fit.empty else fit["mean"].idxmax()


def beside_published(runs: pd.DataFrame, ours: str, dataset: str) -> pd.DataFrame:
    """Accuracy in % by method, and under it by who measured it and how (`ours`, or source and protocol), at each share
    saved; in brackets the distance from full data there."""
    mine = runs[runs["way"] == ""].groupby(["method", "saved"])["test_accuracy"].mean().rename_axis(["method", "rate"])
    theirs = published()
    theirs["of"] = theirs["source"] + ": " + theirs["protocol"]
    theirs = theirs[(theirs["dataset"] == dataset)]
    tables = [mine.reset_index().assign(of=ours), *(group for _, group in theirs.groupby("of", sort=False))]
    rows = []
    for table in tables:
        full = table.loc[table["method"] == "full", "test_accuracy"].max()
        text = [
            f"{accuracy:.1f}" + (f" ({accuracy - full:+.1f})" if rate else "")
            for accuracy, rate in zip(table["test_accuracy"], table["rate"], strict=True)
        ]
        rows.append(table.assign(text=text))
    both = pd.concat(rows)
    both = both[both["method"].isin(set(theirs["method"]))]
    cells = both.pivot(index=["method", "of"], columns="rate", values="text").fillna("")
    return name_rows(cells.rename(columns=lambda rate: f"{rate:.0%}" if rate else "none"))


def with_letters(table: pd.DataFrame) -> str:
    """A table of `beside_published` as text that fits a page: a letter for each source, which stands below."""
    if table.empty:
        return "none are at hand for this data set"
    letters = dict(zip(table.index.unique("of"), ascii_lowercase, strict=False))
    sources = [f"{letter}: {source}" for source, letter in letters.items()]
    return "\n".join([table.rename(index=letters, level="of").to_string(), "", *sources])


def published() -> pd.DataFrame:
    """What others have reported: columns dataset, method, rate, test_accuracy in %, source and protocol."""
    rows = []
    for group in yaml.safe_load(PUBLISHED.read_text()):
        for dataset, methods in group["test_accuracy"].items():
            for method, values in methods.items():
                values = values if isinstance(values, dict) else {0.0: values}
                for rate, accuracy in values.items():
                    rows.append((dataset, method, rate, accuracy, group["source"], group["protocol"]))
    return pd.DataFrame(rows, columns=["dataset", "method", "rate", "test_accuracy", "source", "protocol"])
