"""Say what the speed-ups at equal accuracy show: tables, the verdict on claim C1, the bottom line of the README."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from dynprune_lib.report.style import model_title, ordered

CLAIMED = 1.9  # the lower end of an interval that supports the paper's "up to 2x"


class Finding(NamedTuple):
    """What the speed-ups of the methods under test show in one setting.

    Attributes:
        setting: data set, and model if there are several.
        word: "supported" if the interval of some method lies above 1, "contradicted" if those of all lie below it, else
            "not shown".
        amount: how much is shown.
        message: the finding as a clause that ends before "on" and the setting.
        is_as_claimed: whether the speed-up is that of the paper.
    """

    setting: str
    word: str
    amount: str
    message: str
    is_as_claimed: bool

    @property
    def where(self) -> str:
        """Setting and amount, such as "CIFAR-10 (1.20x or more)"."""
        return f"{self.setting} {self.amount}"


def best(rows: pd.DataFrame) -> pd.Series:
    """Return the row with the highest lower end of the interval; without intervals, with the highest speed-up."""
    return rows.sort_values(["low", "speed_up"], na_position="first").iloc[-1]


def find(tested: pd.DataFrame) -> list[Finding]:
    """Return what the methods under test show in each setting.

    Settings in which no interval has an end show nothing, and are left out if others have one.

    Args:
        tested: rows of `speed_up` whose intervals hold together in each setting.
    """
    has_end = (tested["low"] > 0) | (tested["high"] < np.inf)
    shows_something = has_end.groupby(tested["setting"]).transform("any") | (not has_end.any())
    return [_find(setting, rows) for setting, rows in tested[shows_something].groupby("setting", sort=False)]


def _find(setting: str, rows: pd.DataFrame) -> Finding:
    top = best(rows)
    if top["low"] > 1:
        message = f"full data needs {factor(top)} the compute of {top['method_label']}"
        return Finding(setting, "supported", f"({top['low']:.2f}x or more)", message, top["low"] >= CLAIMED)
    if (rows["high"] < 1).all():
        amount = f"({rows['high'].max():.2f}x or less)"
        return Finding(setting, "contradicted", amount, "the paper's methods need more compute than full data", False)
    smallest = (rows["speed_up"] / rows["low"]).min()  # whose interval would lie above 1
    amount = f"({smallest:.2f}x could have been seen)" if np.isfinite(smallest) else "(no interval)"
    return Finding(setting, "not shown", amount, "no saving is shown", False)


def verdict_from_speed_ups(tested: pd.DataFrame) -> str:
    """Return the verdict on claim C1.

    Args:
        tested: see `find`.

    Returns:
        "supported" if the speed-up is as claimed in each setting; else the findings, such as "supported on CIFAR-10
        (1.20x or more); contradicted on CIFAR-100 (0.84x or less)". "not shown" without rows.
    """
    findings = find(tested)
    if findings and all(finding.is_as_claimed for finding in findings):
        return "supported"
    return "; ".join(_grouped(findings, "word", "where")) or "not shown"


def _grouped(findings: list[Finding], what: str, where: str) -> list[str]:
    """Return one clause for each value of an attribute, such as "not shown on CIFAR-10 and CIFAR-100"."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        groups.setdefault(getattr(finding, what), []).append(getattr(finding, where))
    return [f"{value} on {join(places)}" for value, places in groups.items()]


def headline(tested: pd.DataFrame) -> str:
    """Return the findings in one sentence without a full stop."""
    return f"At equal accuracy in the longest runs, {'; '.join(_grouped(find(tested), 'message', 'setting'))}"


def evidence(tested: pd.DataFrame) -> str:
    """Return the numbers behind the verdict: the speed-up of every method under test, with its interval."""
    parts = []
    for (setting, epochs), rows in tested.groupby(["setting", "epochs"], sort=False):
        numbers = [f"{row.method_label} {interval(row)} at {row.test_accuracy:.1f} %" for row in rows.itertuples()]
        parts.append(f"{setting}, 50 % saved in {epochs} epochs: {', '.join(numbers)}")
    return "; ".join(parts)


def bottom_line(paper: pd.DataFrame, tested: pd.DataFrame) -> str:
    """Return the result of the artifact in Markdown: how much faster, at which accuracy, in which lengths and nets.

    Args:
        paper: see `of_the_paper`.
        tested: its rows at the greatest length.
    """
    lines = [f"**{headline(tested)}.**", ""]
    for setting, rows in tested.groupby("setting", sort=False):
        top = best(rows)
        needs = f"full data needs {interval(top)} that compute for the same accuracy"
        if _has_no_ends(top):
            needs = "how much compute full data needs for the same accuracy is not known from these runs"
        lines.append(
            f"- {setting}: {top['method_label']} reaches {top['test_accuracy']:.1f} % with half of the passes of"
            f" {top['epochs']} epochs; {needs}.{_in_shorter_runs(paper[paper['setting'] == setting], top['epochs'])}"
        )
    if text := growth(paper):
        lines.append(f"- {text}")
    return "\n".join(lines)


def _in_shorter_runs(paper: pd.DataFrame, epochs: int) -> str:
    shorter = [best(rows) for _, rows in paper[paper["epochs"] < epochs].groupby("epochs")]
    found = [f"{row['method_label']} {interval(row)} in {row['epochs']} epochs" for row in shorter]
    return f" In shorter runs: {', '.join(found)}." if found else ""


def growth(paper: pd.DataFrame) -> str:
    """Return whether the speed-up of UCB on the first data set grows with the length and with the net, in a sentence.

    Args:
        paper: see `of_the_paper`.

    Returns:
        Empty if there is one length and one net.
    """
    rows = paper[paper["method"] == "ucb"]
    first = rows["setting"].iloc[0]
    lengths = rows[rows["setting"] == first].sort_values("epochs")
    is_first = (rows["setting"] == first) | rows["setting"].str.startswith(f"{first} with ")
    nets = rows[is_first & (rows["epochs"] == lengths["epochs"].max())]
    parts = []
    if len(lengths) > 1:
        parts.append(f"{_factors(lengths)} in {join(lengths['epochs'].tolist())} epochs")
    if len(nets) > 1:
        titles = join([model_title(model) for model in nets["model"]])
        parts.append(f"{_factors(nets)} with the {titles} in {lengths['epochs'].max()} epochs")
    return f"Does it grow with the length or the net? UCB on {first}: {'; '.join(parts)}." if parts else ""


def _factors(rows: pd.DataFrame) -> str:
    return join([factor(row) for row in rows.itertuples()])


def factor(row: pd.Series) -> str:
    """Format a speed-up: "1.42x", or "> 1.42x" for a bound."""
    return f"{row.bound} {row.speed_up:.2f}x".strip()


def interval(row: pd.Series) -> str:
    """Format a speed-up with its interval.

    Example:
        >>> row = pd.DataFrame({"speed_up": [1.418], "bound": [""], "low": [1.2], "high": [1.66]}).iloc[0]
        >>> interval(row), interval(row.replace(1.66, np.inf)), interval(row.replace(1.2, 0))
        ('1.42x (1.20 to 1.66)', '1.42x (1.20 or more)', '1.42x (1.66 or less)')
        >>> interval(row.replace([1.2, 1.66], [0, np.inf]))
        '1.42x (interval without ends)'
    """
    if np.isnan(row.low):
        return factor(row)
    if _has_no_ends(row):
        return f"{factor(row)} (interval without ends)"
    ends = f"{row.low:.2f} to {row.high:.2f}"
    ends = f"{row.low:.2f} or more" if np.isinf(row.high) else f"{row.high:.2f} or less" if row.low == 0 else ends
    return f"{factor(row)} ({ends})"


def _has_no_ends(row: pd.Series) -> bool:
    return row.low == 0 and np.isinf(row.high)


def join(parts: list) -> str:
    """Join the parts of a list in a sentence.

    Example:
        >>> join([8, 16, 32])
        '8, 16 and 32'
    """
    *first, last = map(str, parts)
    return f"{', '.join(first)} and {last}" if first else last


def speed_up_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return speed-ups with their intervals as text: one row per setting and number of epochs, one column per method.

    Args:
        table: a table of `speed_up`.
    """
    return _by_method(table.assign(text=[interval(row) for row in table.itertuples()]), "epochs")


def time_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return compute, and seconds where timed, as text: one row per setting and accuracy, one column per method.

    Args:
        table: a table of `time_to_accuracy`.
    """
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
