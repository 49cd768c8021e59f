"""The claims: decisions are computed, sentences are written by hand in `claims.yaml`.

A claim predicts a difference in each of several settings; a notebook saves them in `claim_NAME.csv`. One rule decides
all claims: see `decide`.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from dynprune_lib.errors import DynpruneError
from dynprune_lib.paths import root
from dynprune_lib.report.statistics import SEEDS


def decide(cells: pd.DataFrame) -> str:
    """Return the decision on a claim.

    Args:
        cells: one row per planned setting: `side`, "above" where the interval lies on the claimed side, "below" on the
            other, else empty; `n`, the number of seeds, absent where nothing is random.

    Returns:
        "holds" if every setting lies on the claimed side, "fails" if every one lies on the other, "open" if every one
        lies on neither, else "mixed"; "too few seeds" if no setting has SEEDS of them.

    Example:
        >>> decide(pd.DataFrame({"side": ["above", "", "below"], "n": 5}))
        'mixed'
        >>> decide(pd.DataFrame({"side": ["above", ""], "n": [5, 2]}))
        'holds'
    """
    if "n" in cells:
        cells = cells[cells["n"] >= SEEDS]
    if cells.empty:
        return "too few seeds"
    sides = set(cells["side"])
    return "mixed" if len(sides) > 1 else {"above": "holds", "below": "fails", "": "open"}[sides.pop()]


def decisions(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the decision for each `method` of a claim, or for all, with the number of settings on either side."""
    groups = cells.groupby("method", sort=False) if "method" in cells else [("all", cells)]
    rows = {
        name: {
            "decision": decide(rows),
            "as claimed": (rows["side"] == "above").sum(),
            "the opposite": (rows["side"] == "below").sum(),
            "settings": len(rows),
        }
        for name, rows in groups
    }
    return pd.DataFrame.from_dict(rows, orient="index")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An entry of `claims.yaml`.

    Args:
        claim: one of the paper's claims, "C1" to "C6", or a word for a claim of this artifact.
        title: the claim in a few words.
        notebook: the notebook that decides it.
        cells: its file in `figures`, such as "desktop/claim_C1.csv".
        decision: as `decide` computes it, by method or one for all.
        short: the verdict in a few words.
        verdict: the verdict in one or two sentences.
        numbers: each number in these sentences as `shown`, its `file` (default: `cells`), the values that choose its
            `row`, its `column` and, for per cent or a sign in words, a `factor`.
    """

    claim: str
    title: str
    notebook: str
    cells: str
    decision: str | dict[str, str]
    short: str
    verdict: str
    numbers: list[dict[str, Any]]


def load_claims() -> list[Claim]:
    """Return the entries of `claims.yaml`; DynpruneError if a field is missing or unknown."""
    try:
        return [Claim(**entry) for entry in yaml.safe_load((root() / "claims.yaml").read_text(encoding="utf-8"))]
    except TypeError as error:
        raise DynpruneError(f"claims.yaml: {error}") from error
