"""Verdicts on claims: computed in a notebook, saved next to its figures, shown in the README."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dynprune_lib.files import atomic_write

WORDS = ("supported", "contradicted", "not shown")  # each begins a verdict or a part of it
SHORT = 180  # characters of a verdict that a table shows in full
MANY = 5  # of so many values or more, the median stands for all


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Verdict on a claim, with its evidence.

    Args:
        claim: one of the paper's claims, "C1" to "C6", or a word for a claim of this artifact.
        title: the claim in one sentence.
        verdict: "supported", "supported where ...", "not shown", "contradicted where ..." or "contradicted", with "for"
            or "on" in place of "where" before names; "supported where ...; contradicted where ..." if both are found.
            "Not shown" may be for lack of runs.
        evidence: what was found, in a sentence, then the numbers with their intervals.
        provenance: captions of the studies that the numbers come from.
        notebook: file name of the notebook that computed it.
    """

    claim: str
    title: str
    verdict: str
    evidence: str
    provenance: str
    notebook: str

    def __str__(self) -> str:
        verdict = re.sub(rf"(?:^|(?<=; ))({'|'.join(WORDS)})", lambda word: word[0].upper(), self.verdict)
        return f"{self.claim}, {self.title}: {verdict}\n{self.evidence}\n({self.provenance})"

    @property
    def short(self) -> str:
        """The verdict without what could have been seen where nothing is shown; if its places are many, only whether
        there are some.

        Example:
            >>> made = dict(claim="C1", title="", evidence="", provenance="", notebook="")
            >>> Verdict(verdict="not shown", **made).short
            'not shown'
            >>> Verdict(verdict="supported on A; not shown on B (1.3x could have been seen)", **made).short
            'supported on A; not shown on B'
            >>> Verdict(verdict="supported for " + "UCB, " * 50, **made).short
            'supported for some'
            >>> Verdict(verdict="supported for " + "UCB, " * 50 + "; contradicted for RS2", **made).short
            'supported for some; contradicted for others'
        """
        verdict = re.sub(r" \([^()]* could have been seen\)", "", self.verdict)
        if len(verdict) <= SHORT:
            return verdict
        words = [word for word in ("supported", "contradicted") if word in self.verdict]
        parts = [f"{word} for {'others' if place else 'some'}" for place, word in enumerate(words)]
        return "; ".join(parts) or "not shown"

    def save(self, folder: Path) -> None:
        """Write `verdict_CLAIM.json` to the folder of a profile's figures."""
        atomic_write(folder / f"verdict_{self.claim}.json", (json.dumps(asdict(self), indent=2) + "\n").encode())


def load_verdicts(folder: Path) -> list[Verdict]:
    """Return the verdicts in the folder of a profile's figures, sorted by claim."""
    return [Verdict(**json.loads(path.read_text())) for path in sorted(folder.glob("verdict_*.json"))]


def named(places: pd.Index) -> str:
    """Describe places by their names.

    Example:
        >>> named(pd.Index(["UCB is first", "RS2 is last"]))
        'where UCB is first, RS2 is last'
    """
    return f"where {', '.join(places)}"


def verdict_from_sides(sides: pd.Series, where: Callable[[pd.Index], str] = named) -> str:
    """Return the verdict on a claim that differences are above zero.

    Args:
        sides: "above", "below" or empty, see `statistics.holm`, indexed by the place of each difference.
        where: function that describes places, such as `at_rates` or `for_methods`. Default: `named`.

    Returns:
        "supported" if all are above, "contradicted" if all are below, "not shown" if none is either; else "supported"
        or "contradicted" with the places, or both.

    Example:
        >>> verdict_from_sides(pd.Series({0.3: "above", 0.5: "", 0.9: "below"}), at_rates)
        'supported where 30% is saved; contradicted where 90% is saved'
    """
    parts = []
    for word, side in (("supported", "above"), ("contradicted", "below")):
        places = sides.index[sides == side]
        if len(places) == len(sides) > 0:
            return word
        if len(places):
            parts.append(f"{word} {where(places)}")
    return "; ".join(parts) or "not shown"


def at_rates(places: pd.Index) -> str:
    """Describe places that are rates, or data sets and rates.

    Example:
        >>> at_rates(pd.Index([0.3, 0.5, 0.7]))
        'where 30%, 50% or 70% is saved'
        >>> at_rates(pd.MultiIndex.from_tuples([("CIFAR-10", 0.9), ("CIFAR-100", 0.5)]))
        'where 90% is saved on CIFAR-10, or 50% on CIFAR-100'
    """
    if places.nlevels == 1:
        return f"where {_rates(places)} is saved"
    titles = places.get_level_values(0)
    rates = {title: _rates(places[titles == title].get_level_values(1)) for title in titles.unique()}
    (title, first), *others = rates.items()
    return ", or ".join([f"where {first} is saved on {title}", *(f"{text} on {title}" for title, text in others)])


def _rates(rates: pd.Index) -> str:
    return joined([f"{rate:.0%}" for rate in rates], "or")


def for_methods(places: pd.Index) -> str:
    """Describe places that are methods, maybe with their settings or data sets.

    Example:
        >>> for_methods(pd.Index(["UCB", "UCB with c = 0.0"]))
        'for UCB and UCB with c = 0.0'
    """
    return f"for {joined(list(places), 'and')}"


def joined(names: Sequence[str], word: str) -> str:
    """Join names with commas, and the last with "and" or "or".

    Example:
        >>> joined(["a", "b", "c"], "or")
        'a, b or c'
    """
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def sides_at(table: pd.DataFrame, places: list[str]) -> pd.Series:
    """Return the side at each place where a claim is about all differences there.

    Args:
        table: a table with the column `side`.
        places: columns that define a place.

    Returns:
        "below" if some difference is below, "above" if all are above, else empty.

    Example:
        >>> table = pd.DataFrame({"rate": [0.3, 0.3, 0.5, 0.5], "side": ["above", "above", "above", "below"]})
        >>> sides_at(table, ["rate"]).to_dict()
        {0.3: 'above', 0.5: 'below'}
    """
    groups = table.groupby(places if len(places) > 1 else places[0], sort=False)["side"]
    return groups.agg(
        lambda sides: "below" if (sides == "below").any() else "above" if (sides == "above").all() else ""
    )


def headline(table: pd.DataFrame, subject: str, baseline: str) -> str:
    """Return what was found about the differences of one question, as a heading.

    Args:
        table: a table of `statistics.holm` or `statistics.dunnett`.
        subject: what is compared, with its verb.
        baseline: what it is compared with.

    Returns:
        How many differences are above and below zero, without a full stop.

    Example:
        >>> table = pd.DataFrame({"side": ["above", "below"], "p_family": [0.01, 0.04]})
        >>> headline(table, "UCB is", "RS2")
        'UCB is above RS2 in 1 of 2 comparisons and below in 1'
    """
    tested = table.dropna(subset="p_family")
    if tested.empty:
        return "Not tested, since runs have a single seed"
    if len(tested) == 1:
        return f"{subject} {tested['side'].iloc[0] or 'neither above nor below'} {baseline}"
    above, below = ((tested["side"] == side).sum() or "none" for side in ("above", "below"))
    return f"{subject} above {baseline} in {above} of {len(tested)} comparisons and below in {below}"


def findings(table: pd.DataFrame, subject: str, baseline: str) -> str:
    """Return the headline of one question, how it was tested and what could have been found.

    Args:
        table, subject, baseline: see `headline`.

    Returns:
        One or two sentences: if some differences are neither above nor below zero, the second one has the smallest
        difference that would have been detected there (if it differs, its range, or its median if it has at least MANY
        values); without the last full stop.

    Example:
        >>> table = pd.DataFrame({"side": ["above", "below"], "p_family": [0.01, 0.04], "detectable": [0.7, 0.9]})
        >>> findings(table, "UCB is", "RS2")
        'UCB is above RS2 in 1 of 2 comparisons and below in 1 (family-wise error rate 5 %)'
    """
    tested, text = table.dropna(subset="p_family"), headline(table, subject, baseline)
    if len(tested) > 1:
        text = f"{text} (family-wise error rate 5 %)"
    missed = tested.loc[tested["side"] == "", "detectable"]
    if missed.empty:
        return text
    the = "The" if len(missed) == len(tested) else "For the others, the"
    size = f"{missed.median():.1f}"
    if np.ptp(missed) >= 0.05:
        size = f"typically {size}" if len(missed) >= MANY else f"{missed.min():.1f} to {missed.max():.1f}"
    return f"{text}. {the} smallest difference that would have been detected with 80 % power is {size} points"
