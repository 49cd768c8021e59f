"""Write the tables of README, results, gallery, start page and sampler cards from `claims.yaml` and the records."""

import json
import re

import pandas as pd

from dynprune_lib.errors import DynpruneError
from dynprune_lib.experiments.data import dataset_title
from dynprune_lib.experiments.profile import PROFILES, RECORDED, load_profile
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.static_scores import scoring_spec
from dynprune_lib.experiments.store import Store
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import results_dir, root
from dynprune_lib.report.claims import Claim, load_claims
from dynprune_lib.report.sampler_cards import cards, results
from dynprune_lib.report.study import open_study
from dynprune_lib.report.style import device_title, model_title
from dynprune_lib.report.tables import accuracy_table

INTRO = """\
The sentences are those of [claims.yaml](../claims.yaml), which a test compares with the numbers of these figures. A
claim
*holds* if each of its settings lies on the claimed side, *fails* if each lies on the other, is *mixed* if some do, and
*open* if none does; [statistics](../docs/statistics.md) explains how that is decided."""
START = """\
# Notebooks

`make lab` opens this page. Every notebook reads the committed records and runs in seconds; only 00 and 08 train, on
digits, for a minute. Begin with [00](00_quickstart.ipynb)."""


def pages() -> dict[str, str]:
    """Return the text of every page that has tables, by its path in the checkout."""
    return {
        "README.md": _filled("README.md", claims=_claims()),
        "docs/results.md": _filled(
            "docs/results.md",
            accuracies=accuracies(),
            profiles=_markdown(pd.DataFrame([_profile_row(name) for name in PROFILES])),
        ),
        "docs/samplers.md": _filled("docs/samplers.md", results=results(), cards=cards()),
        "figures/README.md": gallery(),
        "notebooks/README.md": start_page(),
    }


def update_pages() -> None:
    """Write all pages of `pages`."""
    for name, text in pages().items():
        atomic_write(root() / name, text.encode())


def _filled(name: str, **blocks: list[str]) -> str:
    """Return a page whose blocks, between two comments each, are replaced by lines."""
    text = (root() / name).read_text(encoding="utf-8")
    for block, lines in blocks.items():
        first, last = f"<!-- {block}: written by `dynprune docs` -->", f"<!-- end of {block} -->"
        if not re.search(f"{first}.*{last}", text, re.DOTALL):
            raise DynpruneError(f"{name} has no block {block!r}: add the lines {first} and {last}")
        before, after = text.split(first)[0], text.split(last)[1]
        text = "\n".join([before + first, "", *lines, "", last + after])
    return text


def accuracies() -> list[str]:
    """Return the test accuracies in Markdown."""
    lines = []
    for name in ("accuracy_vs_pruning_rate", "another_data_set"):
        study = open_study(name, "desktop")
        table = accuracy_table(study.runs)
        lines += [
            f"Test accuracy in %, mean and 95 % interval over seeds ({study.caption}):",
            "",
            *_markdown(table.reset_index(names="compute saved")),
            "",
        ]
    return lines[:-1]


def gallery() -> str:
    """Return `figures/README.md`: the claims, and every figure."""
    lines = ["# Claims and figures", "", *INTRO.splitlines(), ""]
    for claim in load_claims():
        lines += [f"## {_heading(claim)}", "", claim.verdict.strip(), ""]
        where = f"[notebook](../notebooks/{claim.notebook}.ipynb), [settings]({claim.cells})"
        lines += [f"Decision: {_decision(claim)} ({where}).", ""]
    for profile in (name for name in reversed(RECORDED) if (root() / "figures" / name).is_dir()):
        size = load_profile(profile)
        default = f"{dataset_title(size.dataset)}, {model_title(size.model)}, {size.epochs} epochs"
        lines += [f"## Figures of the profile {profile}", ""]
        lines += [f"Runs are of {default}, except where a figure says otherwise.", ""]
        for path in sorted((root() / "figures" / profile).glob("*.png")):
            lines += [
                f"![{path.stem.replace('_', ' ')}]({profile}/{path.name})",
                "",
                f"{path.stem}: [pdf]({profile}/{path.stem}.pdf), [csv]({profile}/{path.stem}.csv)",
                "",
            ]
    return "\n".join(lines)


def _decision(claim: Claim) -> str:
    if isinstance(claim.decision, str):
        return claim.decision
    return ", ".join(f"{method} {decision}" for method, decision in claim.decision.items())


def start_page() -> str:
    """Return `notebooks/README.md`: what each notebook asks, and what it found."""
    rows, claims = [], load_claims()
    for path in sorted((root() / "notebooks").glob("*.ipynb")):
        heading = "".join(json.loads(path.read_bytes())["cells"][0]["source"]).splitlines()[0].removeprefix("# ")
        answers = [f"{claim.claim}: {claim.short}" for claim in claims if claim.notebook == path.stem]
        rows.append({"notebook": f"[{path.stem}]({path.name})", "about": heading, "answer": "<br>".join(answers)})
    return "\n".join([START, "", *_markdown(pd.DataFrame(rows)), ""])


def _profile_row(name: str) -> dict[str, str]:
    profile = load_profile(name)
    store = Store(results_dir() / name)
    records = [record for spec in profile.runs() if name in RECORDED and (record := store.load(spec))]
    devices = dict.fromkeys(device_title(record.environment["device"]) for record in records)
    return {
        "profile": f"`{name}`",
        "net": model_title(profile.model),
        "epochs": str(profile.epochs),
        "seeds": str(len(profile.seeds)),
        "runs with a record": f"{len(records):,} of {len(profile.runs()):,}"
        if name in RECORDED
        else "made on the spot",
        "hours, summed over these": f"{hours(records):.1f}" if records else "",
        "device": " and ".join(devices),
    }


def hours(records: list[RunRecord]) -> float:
    """Return the hours that runs took; shared scores count once."""
    scorings = {scoring_spec(record.spec).name: record.scoring for record in records if record.spec.is_static_scored}
    return sum(cost.seconds for cost in [*(record.training for record in records), *scorings.values()]) / 3600


def _claims() -> list[str]:
    """Return the claims with a short verdict each."""
    rows = [
        {
            "claim": f"**{claim.claim}** {claim.title}",
            "verdict": f"[{claim.short}](figures/README.md#{_anchor(_heading(claim))})",
            "notebook": f"[{claim.notebook[:2]}](notebooks/{claim.notebook}.ipynb)",
        }
        for claim in load_claims()
    ]
    return _markdown(pd.DataFrame(rows))


def _heading(claim: Claim) -> str:
    return f"{claim.claim}: {claim.title}"


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _markdown(table: pd.DataFrame) -> list[str]:
    rows = [list(table.columns), ["---"] * table.shape[1], *table.values.tolist()]
    return [f"| {' | '.join(row)} |" for row in rows]
