"""Write README, results, gallery, start page and sampler cards from records and verdicts: no number is typed."""

import json
import re
from pathlib import Path

import pandas as pd

from dynprune_lib.errors import DynpruneError
from dynprune_lib.experiments.data import dataset_title
from dynprune_lib.experiments.profile import PROFILES, RECORDED, load_profile
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.static_scores import scoring_spec
from dynprune_lib.experiments.store import Store
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import results_dir, root
from dynprune_lib.report import equal_compute, frontier, frontier_text
from dynprune_lib.report.sampler_cards import cards
from dynprune_lib.report.study import Study, best_records, load_study
from dynprune_lib.report.style import device_title, model_title
from dynprune_lib.report.tables import accuracy_table, describe
from dynprune_lib.report.verdicts import Verdict, load_verdicts

FIRST_FIGURES = {  # of the README, by preference
    "frontier": "Test accuracy over compute: full data at many lengths, and each method",
    "accuracy_vs_pruning_rate": "Test accuracy against compute saved, one line per method",
}
INTRO = """\
Written by `dynprune docs` from the files that the notebooks save here. Points are percentage points. A claim is
*supported* where the difference that it predicts is found, *contradicted* where the opposite is found, and *not shown*
where neither is found, which may be for lack of runs: the evidence then has the smallest difference that would have
been detected. All comparisons of one claim are one family, with the family-wise error rate held at 5 %. Intervals are
those of each difference alone, at 95 %; the run-to-run variance is pooled over the methods of one rate. C1 is judged
by speed-ups, whose intervals hold together on each data set, and C2 by costs, which are counted and have no
interval. [Results](../docs/results.md#statistical-terms) explains the statistical terms."""
START = """\
# Notebooks

Written by `dynprune docs` from the first heading and the verdicts of each notebook; `make lab` opens this page. Every
notebook reads the committed records and runs in seconds; only 00 and 08 train, on digits, for one or two minutes.
Begin with [00](00_quickstart.ipynb). [Results](../docs/results.md#statistical-terms) explains the statistical terms."""


def pages() -> dict[str, str]:
    """Return the text of every page that is written from records and verdicts, by its path in the checkout."""
    compared = equal_compute.all_differences()
    return {
        "README.md": _filled("README.md", result=bottom_line(), figure=_first_figure(), claims=_claims(compared)),
        "docs/results.md": _filled(
            "docs/results.md",
            accuracies=accuracies(),
            recommendation=recommendation(*compared) if compared else [],
            profiles=_markdown(pd.DataFrame([_profile_row(name) for name in PROFILES])),
        ),
        "docs/samplers.md": cards(),
        "figures/README.md": gallery(),
        "notebooks/README.md": start_page(),
    }


def update_pages() -> None:
    """Write all pages of `pages`."""
    for name, text in pages().items():
        atomic_write(root() / name, text.encode())


def _filled(name: str, **blocks: list[str]) -> str:
    """Return a page with each of its blocks, between two comments, replaced by some lines."""
    text = (root() / name).read_text()
    for block, lines in blocks.items():
        first, last = f"<!-- {block}: written by `dynprune docs` -->", f"<!-- end of {block} -->"
        if not re.search(f"{first}.*{last}", text, re.DOTALL):
            raise DynpruneError(f"{name} has no block {block!r}: add the lines {first} and {last}")
        before, after = text.split(first)[0], text.split(last)[1]
        text = "\n".join([before + first, "", *lines, "", last + after])
    return text


def accuracies() -> list[str]:
    """Return the test accuracies in Markdown."""
    study = load_study("accuracy_vs_pruning_rate")
    lines = [f"Test accuracy in %, mean and 95 % interval over seeds ({study.caption}):", "", *_accuracies(study)]
    profile = study.profile.name
    if best_records("another_data_set", results_dir(), first=profile)[0] == profile:
        other = load_study("another_data_set", beside=study)
        lines += ["", f"On another data set ({other.caption}):", "", *_accuracies(other)]
    return lines


def bottom_line() -> list[str]:
    """Return the lines in Markdown that say how much compute pruning saves at equal accuracy, and where none.

    There are none without records of the frontier.
    """
    names = ("frontier", "frontier_elsewhere", "summit")
    studies = [load_study(name) for name in names if best_records(name, results_dir())[1]]
    if not studies:
        return []
    runs = frontier.measure_compute(pd.concat([study.runs for study in studies], ignore_index=True))
    paper = frontier.of_the_paper(runs)
    text = frontier_text.bottom_line(paper, frontier.at_the_greatest_length(paper))
    captions = "; ".join(dict.fromkeys(study.caption for study in studies))
    source = f"[05](notebooks/{studies[0].experiment.notebook}.ipynb)"
    intervals = (
        "At each length, the intervals in brackets hold for the paper's three methods together with 95 % confidence;"
        f" {source} has more"
    )
    return [*text.split("\n"), "", f"{intervals} ({captions})."]


def recommendation(differences: pd.DataFrame, caption: str) -> list[str]:
    """Return the lines that recommend a method, with its differences from the baseline.

    Args:
        differences: a table of `equal_compute.all_differences`.
        caption: what was trained.

    Returns:
        One line in Markdown; none without candidates.
    """
    label, count = equal_compute.recommended(differences), len(equal_compute.candidates(differences))
    if label is None:
        return []
    if label == equal_compute.BASELINE:
        why = (
            "It uses no scores: it is full data in fewer epochs, cut into shorter ones. None of the"
            f" {count} methods with several seeds at every level of every data set is above it somewhere and below"
            f" it nowhere, which may be for lack of runs{_mixed(differences)}"
        )
    else:
        own = differences[differences["method_label"] == label].groupby("dataset")  # "" is the first
        gains = [
            f"{dataset and f'on {dataset} '}{describe(rows.set_index('saved'))} compute saved" for dataset, rows in own
        ]
        why = (
            f"Difference from {equal_compute.BASELINE} at equal compute: {'; '.join(gains)}. Of the {count} methods and"
            " variants with several seeds at every level of every data set, it has the highest mean of those that"
            " the family-wise test finds better somewhere and worse nowhere. It was chosen on the test set, so these"
            " differences are optimistic"
        )
    comparison = "[09_equal_compute](../notebooks/09_equal_compute.ipynb)"
    return [
        f"Recommended by the {comparison} comparison: **{label}**. {why} ({caption}). [Samplers](samplers.md) has the"
        " results of all methods."
    ]


def _mixed(differences: pd.DataFrame) -> str:
    """Return the candidates that are above the baseline at one place and below it at another, and where."""
    table = equal_compute.candidates(differences)
    parts = []
    for label in table.index[table["wins"] & table["loses"]]:
        rows = differences[differences["method_label"] == label]
        places = rows["saved"].map("{:.0%}".format) + rows["dataset"].map(lambda title: f" on {title}" if title else "")
        sides = [f"{side} at {', '.join(places[rows['side'] == side])}" for side in ("above", "below")]
        parts.append(f"{label} ({'; '.join(sides)})")
    return f". Above it at one level and below it at another: {', '.join(parts)}" if parts else ""


def gallery() -> str:
    """Return `figures/README.md`: the verdicts with their numbers, and every figure."""
    lines = ["# Figures and verdicts", "", *INTRO.splitlines(), ""]
    for verdict in _verdicts():
        lines += [
            f"## {_heading(verdict)}",
            "",
            f"**{verdict.verdict[0].upper()}{verdict.verdict[1:]}.** {verdict.evidence}.",
            "",
            f"{verdict.provenance}; computed in [{verdict.notebook}](../notebooks/{verdict.notebook}).",
            "",
        ]
    for profile in (name for name in reversed(RECORDED) if _folder(name).is_dir()):
        size = load_profile(profile)
        default = f"{dataset_title(size.dataset)}, {model_title(size.model)}, {size.epochs} epochs"
        lines += [f"## Figures of the profile {profile}", ""]
        lines += [f"Runs are of {default}, except where a figure says otherwise.", ""]
        for path in sorted(_folder(profile).glob("*.png")):
            lines += [
                f"![{path.stem.replace('_', ' ')}]({profile}/{path.name})",
                "",
                f"{path.stem}: [pdf]({profile}/{path.stem}.pdf), [csv]({profile}/{path.stem}.csv)",
                "",
            ]
    return "\n".join(lines)


def start_page() -> str:
    """Return `notebooks/README.md`: what each notebook asks, and the verdicts that it came to."""
    rows = []
    for path in sorted((root() / "notebooks").glob("*.ipynb")):
        heading = "".join(json.loads(path.read_text())["cells"][0]["source"]).splitlines()[0].removeprefix("# ")
        found = [verdict for verdict in _verdicts() if verdict.notebook == path.name]
        answers = [f"{verdict.claim}, {verdict.title}: **{verdict.short}**" for verdict in found]
        rows.append({"notebook": f"[{path.stem}]({path.name})", "about": heading, "verdict": "<br>".join(answers)})
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
    """Return the hours that some runs took. Scores that several of them share were computed once."""
    scorings = {scoring_spec(record.spec).name: record.scoring for record in records if record.spec.is_static_scored}
    return sum(cost.seconds for cost in [*(record.training for record in records), *scorings.values()]) / 3600


def _verdicts() -> list[Verdict]:
    """Return one verdict per claim, from the largest profile that has one."""
    verdicts = {verdict.claim: verdict for profile in RECORDED for verdict in load_verdicts(_folder(profile))}
    return [verdicts[claim] for claim in sorted(verdicts)]


def _claims(compared: tuple[pd.DataFrame, str] | None) -> list[str]:
    """Return the claims with a short verdict each, and the recommended method."""
    rows = [
        {
            "claim": verdict.claim,
            "statement": verdict.title,
            "verdict": f"[**{verdict.short}**](figures/README.md#{_anchor(_heading(verdict))})",
            "runs": f"{verdict.provenance} ([{verdict.notebook[:2]}](notebooks/{verdict.notebook}))",
        }
        for verdict in _verdicts()
    ]
    lines = _markdown(pd.DataFrame(rows))
    if compared and (label := equal_compute.recommended(compared[0])):
        lines += [
            "",
            f"Recommended at equal compute ({compared[1]}): **{label}** ([why](docs/results.md#recommended-method)).",
        ]
    return lines


def _heading(verdict: Verdict) -> str:
    return f"{verdict.claim}: {verdict.title}"


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _accuracies(study: Study) -> list[str]:
    table = accuracy_table(study.runs)
    table.insert(0, "compute saved", table.index)
    return _markdown(table)


def _first_figure() -> list[str]:
    """Return the lines of the README's first figure, from the largest profile that has one."""
    for name, description in FIRST_FIGURES.items():
        for profile in reversed(RECORDED):
            if (_folder(profile) / f"{name}.png").exists():
                return [f"![{description}](figures/{profile}/{name}.png)"]
    return []


def _folder(profile: str) -> Path:
    return root() / "figures" / profile


def _markdown(table: pd.DataFrame) -> list[str]:
    rows = [list(table.columns), ["---"] * table.shape[1], *table.values.tolist()]
    return [f"| {' | '.join(row)} |" for row in rows]
