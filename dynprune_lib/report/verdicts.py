"""A claim and what became of it: computed in a notebook, kept beside its figures, told in the README."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from dynprune_lib.files import atomic_write

VERDICTS = ("reproduced", "partly reproduced", "not reproduced", "undecided")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`claim` is a number of the paper's claims (C1 to C6) or a word; `title` what it says; `verdict` one of VERDICTS;
    `evidence` the numbers behind it, with their intervals; `provenance` what was trained, and how often."""

    claim: str
    title: str
    verdict: str
    evidence: str
    provenance: str
    notebook: str

    def __str__(self) -> str:
        return f"{self.claim}, {self.title}: {self.verdict.upper()}\n{self.evidence}\n({self.provenance})"

    def save(self, folder: Path) -> None:
        """Keeps it in the folder of the figures of its profile."""
        atomic_write(folder / f"verdict_{self.claim}.json", (json.dumps(asdict(self), indent=2) + "\n").encode())


def load_verdicts(folder: Path) -> list[Verdict]:
    """The verdicts kept beside the figures of a profile, by claim."""
    return [Verdict(**json.loads(path.read_text())) for path in sorted(folder.glob("verdict_*.json"))]


def judge(found: pd.DataFrame) -> str:
    """Of differences with columns mean and half: `reproduced` if the mean is above zero by more than its interval in
    every row, `not reproduced` if in none, else `partly reproduced`; `undecided` where a row has a single seed, or
    there is none."""
    if found["half"].isna().any() or found.empty:
        return "undecided"
    return judge_all(found["mean"] > found["half"])


def judge_all(holds: pd.Series) -> str:
    """`reproduced` if it holds everywhere, `not reproduced` if nowhere, else `partly reproduced`."""
    return "reproduced" if holds.all() else "partly reproduced" if holds.any() else "not reproduced"


def judge_saving(saved: Sequence[float]) -> str:
    """Of the share of the passes that is saved without loss on each data set: `reproduced` if it is half of them on
    all, `partly reproduced` if less is saved, or on some only, else `not reproduced`."""
    return "reproduced" if min(saved) >= 0.5 else "partly reproduced" if max(saved) > 0 else "not reproduced"
