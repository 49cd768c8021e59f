"""Compare methods and settings: tables of differences in test accuracy, with pooled variances."""

from collections.abc import Iterable, Sequence

import pandas as pd

from dynprune_lib.report.statistics import differences, dunnett, holm, pool_variances
from dynprune_lib.report.study import Study
from dynprune_lib.report.style import model_title, style
from dynprune_lib.report.tables import format_differences, name_rows


def contrast(
    runs: pd.DataFrame,
    column: str,
    pairs: Iterable[tuple[str, str]],
    keys: Sequence[str],
    by: str | Sequence[str] = "rate",
) -> pd.DataFrame:
    """Return the differences between pairs of values of a column, at each value of other columns.

    Args:
        runs: a table of `tabulate`; all its cells contribute to the variances.
        column: the column, such as "method".
        pairs: (value, baseline) each; places where one of the two is missing are left out.
        keys: columns in which a cell and its baseline agree, including `by`.
        by: column, or columns, with separate variances for each value. Default: "rate".

    Returns:
        A table of `statistics.differences`, indexed by `column`, "baseline" and `keys`.

    Example:
        >>> runs = pd.DataFrame({"method": list("aabb"), "rate": 0.5, "test_accuracy": [1.0, 3.0, 5.0, 7.0]})
        >>> contrast(runs, "method", [("b", "a")], ["rate"])["mean"].to_dict()
        {('b', 'a', 0.5): 4.0}
    """
    cells = pool_variances(runs, [column, *keys], by).reset_index()
    named = pd.DataFrame(pairs, columns=[column, "baseline"], dtype="str")
    first, second = (
        named.merge(cells.rename(columns={column: side}), on=side).set_index([column, "baseline", *keys])
        for side in named
    )
    return differences(first, second)


def differences_of_methods(runs: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Return `contrast` of (method, baseline) pairs at each rate, with labels in `method` and `baseline`."""
    table = contrast(runs, "method", pairs, ["rate"]).reset_index()
    return table.assign(**{name: table[name].map(lambda each: style(each).label) for name in ("method", "baseline")})


def in_every_study(studies: Iterable[Study], pairs: Sequence[tuple[str, str]], at_least: float = 0.0) -> pd.DataFrame:
    """Return `differences_of_methods` of several studies, each with its own variances, from a rate on, with their
    `dataset` and `net`, all tested together (Holm)."""
    tables = []
    for study in studies:
        net = model_title(study.records[0].spec.model)
        tables.append(differences_of_methods(study.runs, pairs).assign(dataset=study.title, net=net))
    both = pd.concat(tables, ignore_index=True)
    both = both.drop_duplicates(["method", "baseline", "rate", "dataset", "net"])  # a size may have one data set
    return holm(both[both["rate"] >= at_least])


def difference_table(runs: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return the differences of (method, baseline) pairs as text: one row per pair, one column per rate."""
    cells = format_differences(contrast(runs, "method", pairs, ["rate"])).unstack("rate", fill_value="").reindex(pairs)
    names = [f"{style(method).label} - {style(baseline).label}" for method, baseline in pairs]
    columns = pd.Index([f"{rate:.0%}" for rate in cells.columns], name="compute saved")
    return cells.set_axis(names, axis=0).set_axis(columns, axis=1)


def differences_of_devices(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how much more accurate the same run, with another seed, is on a GPU than on a CPU."""
    keys = ["dataset", "method", "variant", "rate", "epochs"]
    pairs = [(device, "CPU") for device in sorted(set(runs["device"]) - {"CPU"})]
    return contrast(runs, "device", pairs, keys, by=["dataset", "rate"]).reset_index()


def differences_from_full_data(runs: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the differences of a method from full data, a table of `statistics.differences` indexed by rate."""
    cells = pool_variances(runs, ["method", "rate"])
    own = cells.loc[method]
    return differences(own, cells.loc[[("full", 0.0)] * len(own)].set_axis(own.index))


def differences_from_default(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the differences of all variants, at one rate, from their method with default settings, and its `colour`;
    indexed by names like "UCB, c = 0.0"."""
    variants = sorted(set(runs["variant"]) - {""})
    table = contrast(runs, "variant", [(variant, "") for variant in variants], ["method", "rate"])
    table = table.reset_index().set_index(["method", "variant"]).drop(columns=["baseline", "rate"]).sort_index()
    table = name_rows(table.assign(colour=[style(method).colour for method, _ in table.index]))
    return table.set_index(table.index.map(", ".join))


def as_settings_of_ucb(runs: pd.DataFrame) -> pd.DataFrame:
    """Turn the samplers that are UCB with one change into variants of it."""
    for sampler, change in {"epsilon-ucb": "epsilon = 0.1", "ucb1": "bonus by counts"}.items():
        runs = runs.mask(runs["method"] == sampler, runs.assign(method="ucb", variant=change))
    return runs


def differences_of_bandits(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return `statistics.dunnett` of UCB and ε-greedy at one rate against a baseline with default settings, with the
    label of the `method` and its `settings`; variants that cost more passes than the baseline are left out."""
    is_baseline = (runs["method"] == baseline) & (runs["variant"] == "")
    costs_no_more = (runs["passes"] <= runs.loc[is_baseline, "passes"].max()) & (runs["forward_only"] == 0)
    compared = runs[is_baseline | (costs_no_more & runs["method"].isin(["ucb", "epsilon-greedy"]))]
    names = (compared["method"] + "/" + compared["variant"]).rename("name")
    table = dunnett(compared.assign(name=names), "name", f"{baseline}/").droplevel("rate")
    kinds = compared.groupby(names)[["method", "variant"]].first().loc[table.index]
    labels, settings = kinds["method"].map(lambda method: style(method).label), kinds["variant"].replace("", "default")
    return table.assign(method=labels, settings=settings).reset_index(drop=True)
