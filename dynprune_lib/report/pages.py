"""What the notebooks found, told in the README and in the gallery of figures: no number in their prose is typed."""

import re
from pathlib import Path

import pandas as pd

from dynprune_lib.experiments.data import dataset_title
from dynprune_lib.experiments.profile import PROFILES, load_profile
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import results_dir, root
from dynprune_lib.report import equal_compute as ring
from dynprune_lib.report.sampler_cards import cards
from dynprune_lib.report.study import Study, best_records, load_study
from dynprune_lib.report.tables import accuracy_table, describe
from dynprune_lib.report.verdicts import Verdict, load_verdicts

BLOCK = re.compile(r"(?<=<!-- results: written by `make render` -->\n).*?(?=<!-- end of results -->)", re.DOTALL)
COMMITTED = PROFILES[1:]  # the figures of the smallest profile are made on the spot


def results_block() -> str:
    """The table of accuracies from the committed records, and that of the verdicts, in Markdown."""
    study = load_study("accuracy_vs_pruning_rate")
    lines = [
        "",
        f"Test accuracy in % after the last epoch, mean and 95 % interval ({study.caption}):",
        "",
        *_accuracies(study),
    ]
    if best_records("another_data_set", results_dir())[0] == study.profile.name:
        other = load_study("another_data_set")
        lines += ["", f"The same on another data set ({other.caption}):", "", *_accuracies(other)]
    lines += [
        "",
        "What became of the paper's claims, at the size that the last column names; the numbers behind a verdict are",
        "in [figures](figures/README.md).",
        "",
        *_markdown(_verdict_table()),
    ]
    if compared := ring.all_differences():
        lines += ["", *recommendation(*compared)]
    return "\n".join([*lines, "", ""])


def recommendation(found: pd.DataFrame, caption: str) -> list[str]:
    """Which rule to try first, of a table of `ring.all_differences`, and what it gave."""
    name, others = ring.recommended(found), len(ring.candidates(found))
    if name is None:
        return []
    if name == ring.PLAIN:
        why = f"Of the {others} others with several seeds at every cost, each wins at none or loses somewhere"
    else:
        mine = found[found["rule"] == name].groupby("dataset")  # that of the ring, without a name, is the first
        gains = [f"{dataset and f'on {dataset} '}{describe(rows.set_index('saved'))} saved" for dataset, rows in mine]
        why = f"Against {ring.PLAIN}: {'; '.join(gains)}; the best of the {others} with several seeds at every cost"
    where = "[09_equal_compute](notebooks/09_equal_compute.ipynb)"
    cards = "what each gave is in [docs/samplers.md](docs/samplers.md)"
    return [f"To try first, by {where}: **{name}**. {why} ({caption}); {cards}."]


def gallery() -> str:
    """`figures/README.md`: the verdicts with their numbers, and every figure."""
    lines = ["# Figures and verdicts", "", "Written by `make render` from what the notebooks left here.", ""]
    for verdict in _verdicts():
        lines += [
            f"## {verdict.claim}: {verdict.title}",
            "",
            f"**{verdict.verdict.capitalize()}.** {verdict.evidence}.",
            "",
            f"{verdict.provenance}; computed in [{verdict.notebook}](../notebooks/{verdict.notebook}).",
            "",
        ]
    for profile in (name for name in reversed(COMMITTED) if _folder(name).is_dir()):
        found = load_profile(profile)
        lines += [f"## {dataset_title(found.dataset)}, {found.about}", ""]
        for path in sorted(_folder(profile).glob("*.png")):
            lines += [
                f"![{path.stem.replace('_', ' ')}]({profile}/{path.name})",
                "",
                f"{path.stem}: [pdf]({profile}/{path.stem}.pdf), [csv]({profile}/{path.stem}.csv)",
                "",
            ]
    return "\n".join(lines)


def update_pages() -> None:
    """Writes the results into the README, the gallery, and the cards of the samplers."""
    path = root() / "README.md"
    atomic_write(path, BLOCK.sub(lambda _: results_block(), path.read_text()).encode())
    atomic_write(root() / "figures" / "README.md", gallery().encode())
    atomic_write(root() / "docs" / "samplers.md", cards().encode())


def _verdicts() -> list[Verdict]:
    """Of every claim, that of the largest profile that has one."""
    found = {verdict.claim: verdict for profile in COMMITTED for verdict in load_verdicts(_folder(profile))}
    return [found[claim] for claim in sorted(found)]


def _verdict_table() -> pd.DataFrame:
    rows = [
        {
            "claim": verdict.claim,
            "what it says": verdict.title,
            "verdict": f"**{verdict.verdict}**",
            "notebook": f"[{verdict.notebook[:2]}](notebooks/{verdict.notebook})",
            "made of": verdict.provenance,
        }
        for verdict in _verdicts()
    ]
    return pd.DataFrame(rows)


def _accuracies(study: Study) -> list[str]:
    table = accuracy_table(study.runs)
    table.insert(0, "sample passes saved", table.index)
    return _markdown(table)


def _folder(profile: str) -> Path:
    return root() / "figures" / profile


def _markdown(table: pd.DataFrame) -> list[str]:
    rows = [list(table.columns), ["---"] * table.shape[1], *table.values.tolist()]
    return [f"| {' | '.join(row)} |" for row in rows]
