"""Format speed-ups as tables of text."""

import numpy as np
import pandas as pd

from dynprune_lib.report.style import ordered


def interval(row: pd.Series) -> str:
    """Format a speed-up with its interval.

    Example:
        >>> row = pd.Series({"speed_up": 1.418, "bound": "", "low": 1.2, "high": 1.66})
        >>> interval(row), interval(row.replace(1.66, np.inf)), interval(row.replace([1.2, 1.66], [0, np.inf]))
        ('1.42x (1.20 to 1.66)', '1.42x (1.20 or more)', '1.42x (no limits)')
    """
    low, high, factor = row["low"], row["high"], f"{row.get('bound', '')} {row['speed_up']:.2f}x".strip()
    if np.isnan(low):
        return factor
    if low == 0 and np.isinf(high):
        return f"{factor} (no limits)"
    ends = f"{low:.2f} or more" if np.isinf(high) else f"{high:.2f} or less" if low == 0 else f"{low:.2f} to {high:.2f}"
    return f"{factor} ({ends})"


def common_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return `frontier.common_speed_up` as text, one row per setting, method and compute saved."""
    points = [f"{row.points:+.2f}" + ("" if np.isnan(row.ci) else f" ± {row.ci:.2f}") for row in table.itertuples()]
    shown = pd.DataFrame(
        {
            "points at equal compute": points,
            "speed-up at equal accuracy": [interval(row) for _, row in table.iterrows()],
            "lengths": table["lengths"],
            "p of one factor": table["p_common"].map("{:.3f}".format).replace("nan", ""),
            "n": table["n"],
        }
    )
    saved = table["saved"].map("{:.0%}".format).rename("compute saved")
    return shown.set_index([table["setting"], table["method_label"].rename("method"), saved])


def speed_up_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return `frontier.speed_up` as text: one row per setting and epochs, one column per method."""
    return _by_method(table.assign(text=[interval(row) for _, row in table.iterrows()]), "epochs")


def time_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return `frontier.time_to_accuracy` as text, seconds in brackets: one row per setting and accuracy."""
    text = [
        f"{row.bound} {row.full_epochs:.1f}{'' if np.isnan(row.seconds) else f' ({row.seconds:.0f} s)'}".strip()
        for row in table.itertuples()
    ]
    return _by_method(table.assign(text=text, accuracy=table["accuracy"].map("{:g} %".format)), "accuracy")


def _by_method(table: pd.DataFrame, row: str) -> pd.DataFrame:
    """Return the texts of a table with one column per method and compute saved, in the order of all figures."""
    places = {method: place for place, method in enumerate(ordered(table["method"]))}
    table = table.assign(place=table["method"].map(places), saved=table["saved"].map("{:.0%}".format))
    columns = ["place", "method_label", "saved"]
    cells = table.pivot_table(index=["setting", row], columns=columns, values="text", aggfunc="first", fill_value="")
    return cells.droplevel("place", axis=1).rename_axis(columns=["method", "compute saved"])
