"""Verdicts on claims: computed in a notebook, saved next to its figures, shown in the README."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from dynprune_lib.files import atomic_write


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Verdict on a claim, with its evidence.

    Args:
        claim: one of the paper's claims, "C1" to "C6", or a word for a claim of this artifact.
        title: the claim in one sentence.
        verdict: "reproduced", "partly reproduced", "not reproduced" or "undecided".
        evidence: the numbers behind the verdict, with their intervals.
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
        return f"{self.claim}, {self.title}: {self.verdict.upper()}\n{self.evidence}\n({self.provenance})"

    def save(self, folder: Path) -> None:
        """Write `verdict_CLAIM.json` to the folder of a profile's figures."""
        atomic_write(folder / f"verdict_{self.claim}.json", (json.dumps(asdict(self), indent=2) + "\n").encode())


def load_verdicts(folder: Path) -> list[Verdict]:
    """Return the verdicts in the folder of a profile's figures, sorted by claim."""
    return [Verdict(**json.loads(path.read_text())) for path in sorted(folder.glob("verdict_*.json"))]


def verdict_from_differences(differences: pd.DataFrame) -> str:
    """Return the verdict on a claim that differences are above zero.

    Args:
        differences: a table with columns `mean` and `ci95`.

    Returns:
        "reproduced" if the mean is above zero by more than its interval in every row, "not reproduced" if in none, else
        "partly reproduced"; "undecided" if there is no row, or one with a single seed.

    Example:
        >>> verdict_from_differences(pd.DataFrame({"mean": [1.0, 0.2], "ci95": [0.5, 0.5]}))
        'partly reproduced'
    """
    if differences["ci95"].isna().any() or differences.empty:
        return "undecided"
    return verdict_from_conditions(differences["mean"] > differences["ci95"])


def verdict_from_conditions(conditions: pd.Series) -> str:
    """Return "reproduced" if all conditions hold, "not reproduced" if none does, else "partly reproduced".

    Example:
        >>> verdict_from_conditions(pd.Series([True, True]))
        'reproduced'
    """
    return "reproduced" if conditions.all() else "partly reproduced" if conditions.any() else "not reproduced"
