"""Trials of faster selection rules on held-out images."""

from pathlib import Path

import pandas as pd

from dynprune_lib.paths import root
from dynprune_lib.report.comparisons import contrast
from dynprune_lib.report.tables import format_differences

BASELINE = "RS2"


def rule_trials() -> Path:
    """Return the file with the accuracies of all trials on the held-out images."""
    return root() / "docs" / "rule_trials.csv"


def differences_from_rs2(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the difference of each rule from RS2 in accuracy on the held-out images.

    Args:
        trials: columns `rule`, `dataset`, `seed`, `passes` and `accuracy`, in %.

    Returns:
        Text, in percentage points with 95 % intervals: one row per rule, the best mean over the data sets first, one
        column per data set, and `passes`, relative to those of RS2.
    """
    runs = trials.rename(columns={"accuracy": "test_accuracy"})
    pairs = [(rule, BASELINE) for rule in runs["rule"].unique() if rule != BASELINE]
    table = contrast(runs, "rule", pairs, ["dataset"], by="dataset").droplevel("baseline")
    text = format_differences(table).unstack("dataset")
    passes = runs.groupby("rule")["passes"].mean()
    text["passes"] = (passes / passes[BASELINE]).map("{:.2f}x".format)
    return text.loc[table["mean"].unstack("dataset").mean(axis=1).sort_values(ascending=False).index]
