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
    """Return each rule's difference from RS2 in points of held-out accuracy, as text, with 95 % intervals.

    The rules are sorted by their mean over the data sets, the columns. `passes` are relative to those of RS2.
    """
    runs = trials.rename(columns={"accuracy": "test_accuracy"})
    pairs = [(rule, BASELINE) for rule in runs["rule"].unique() if rule != BASELINE]
    table = contrast(runs, "rule", pairs, ["dataset"], by="dataset").droplevel("baseline")
    text = format_differences(table).unstack("dataset")
    passes = runs.groupby("rule")["passes"].mean()
    text["passes"] = (passes / passes[BASELINE]).map("{:.2f}x".format)
    return text.loc[table["mean"].unstack("dataset").mean(axis=1).sort_values(ascending=False).index]
