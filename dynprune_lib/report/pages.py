"""Write the tables of README, results, gallery, start page and sampler cards from `claims.yaml` and the records."""

import inspect
import json
import re

import pandas as pd
import torch

from dynprune_lib.errors import DynpruneError
from dynprune_lib.experiments.data import dataset_title
from dynprune_lib.experiments.profile import PROFILES, RECORDED, load_profile
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import sampler_settings
from dynprune_lib.experiments.static_scores import scoring_spec
from dynprune_lib.experiments.store import Store
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import results_dir, root
from dynprune_lib.report import equal_compute
from dynprune_lib.report.claims import Claim, load_claims
from dynprune_lib.report.study import open_study
from dynprune_lib.report.style import device_title, model_title, ordered, style
from dynprune_lib.report.tables import accuracy_table, format_differences, markdown
from dynprune_lib.report.timing import time_ratios
from dynprune_lib.samplers import SAMPLERS, PruningSampler

# settings that are described once, for all samplers or for all bandits
COMMON = ("period", "warm_up", "anneal_from", "rescale", "alpha", "from_zero")
WARNINGS = ("Do not use it", "It prefers samples with wrong labels")  # how a paragraph begins that a card repeats


def pages() -> dict[str, str]:
    """Return the text of every page that has tables, by its path in the checkout."""
    blocks = {
        "README.md": {"claims": claims()},
        "docs/results.md": {"accuracies": accuracies(), "profiles": profiles()},
        "docs/samplers.md": {"results": results(), "cards": cards()},
        "figures/README.md": {"verdicts": verdicts(), "figures": gallery()},
        "notebooks/README.md": {"notebooks": notebooks()},
    }
    return {name: filled(name, each) for name, each in blocks.items()}


def update_pages() -> None:
    """Write all pages of `pages`."""
    for name, text in pages().items():
        atomic_write(root() / name, text.encode())


def filled(name: str, blocks: dict[str, list[str]]) -> str:
    """Return a page whose blocks, between two comments each, are replaced by lines."""
    text = (root() / name).read_text(encoding="utf-8")
    for block, lines in blocks.items():
        first, last = f"<!-- {block}: written by `dynprune docs` -->", f"<!-- end of {block} -->"
        if not re.search(f"{first}.*{last}", text, re.DOTALL):
            raise DynpruneError(f"{name} has no block {block!r}: add the lines {first} and {last}")
        before, after = text.split(first)[0], text.split(last)[1]
        text = "\n".join([before + first, "", *lines, "", last + after])
    return text


def claims() -> list[str]:
    """Return the claims with a short verdict each."""
    rows = [
        {
            "claim": f"**{claim.claim}** {claim.title}",
            "verdict": f"[{claim.short}](figures/README.md#{_anchor(_heading(claim))})",
            "notebook": f"[{claim.notebook[:2]}](notebooks/{claim.notebook}.ipynb)",
        }
        for claim in load_claims()
    ]
    return markdown(pd.DataFrame(rows))


def verdicts() -> list[str]:
    """Return the sentences of each claim, and its decision."""
    lines = []
    for claim in load_claims():
        decision = claim.decision
        if not isinstance(decision, str):
            decision = ", ".join(f"{method} {each}" for method, each in decision.items())
        where = f"[notebook](../notebooks/{claim.notebook}.ipynb), [settings]({claim.cells})"
        lines += [f"## {_heading(claim)}", "", claim.verdict.strip(), "", f"Decision: {decision} ({where}).", ""]
    return lines[:-1]


def _heading(claim: Claim) -> str:
    return f"{claim.claim}: {claim.title}"


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def gallery() -> list[str]:
    """Return every figure, by profile."""
    lines = []
    for profile in (name for name in reversed(RECORDED) if (root() / "figures" / name).is_dir()):
        size = load_profile(profile)
        default = f"{dataset_title(size.dataset)}, {model_title(size.model)}, {size.epochs} epochs"
        lines += [f"## Figures of the profile {profile}", ""]
        lines += [f"Runs are of {default}, except where a figure says otherwise.", ""]
        for path in sorted((root() / "figures" / profile).glob("*.png")):
            name, file = path.stem, f"{profile}/{path.stem}"
            lines += [f"![{name.replace('_', ' ')}]({file}.png)", ""]
            lines += [f"{name}: [pdf]({file}.pdf), [csv]({file}.csv)", ""]
    return lines[:-1]


def notebooks() -> list[str]:
    """Return what each notebook asks, and what it found."""
    rows, found = [], load_claims()
    for path in sorted((root() / "notebooks").glob("*.ipynb")):
        heading = "".join(json.loads(path.read_bytes())["cells"][0]["source"]).splitlines()[0].removeprefix("# ")
        answers = [f"{claim.claim}: {claim.short}" for claim in found if claim.notebook == path.stem]
        rows.append({"notebook": f"[{path.stem}]({path.name})", "about": heading, "answer": "<br>".join(answers)})
    return markdown(pd.DataFrame(rows))


def accuracies() -> list[str]:
    """Return the test accuracies of two data sets."""
    lines = []
    for name in ("accuracy_vs_pruning_rate", "another_data_set"):
        study = open_study(name, "desktop")
        lines += [f"Test accuracy in %, mean and 95 % interval over seeds ({study.caption}):", ""]
        lines += [*markdown(accuracy_table(study.runs).reset_index(names="compute saved")), ""]
    return lines[:-1]


def profiles() -> list[str]:
    """Return what each profile trains, and what its recorded runs took."""
    return markdown(pd.DataFrame([_profile_row(name) for name in PROFILES]))


def _profile_row(name: str) -> dict[str, str]:
    profile = load_profile(name)
    store = Store(results_dir() / name)
    records = [record for spec in profile.runs() if name in RECORDED and (record := store.load(spec))]
    of_all = f"{len(records):,} of {len(profile.runs()):,}"
    devices = dict.fromkeys(device_title(record.environment["device"]) for record in records)
    return {
        "profile": f"`{name}`",
        "net": model_title(profile.model),
        "epochs": str(profile.epochs),
        "seeds": str(len(profile.seeds)),
        "runs with a record": of_all if name in RECORDED else "made on the spot",
        "hours, summed over these": f"{hours(records):.1f}" if records else "",
        "device": " and ".join(devices),
    }


def hours(records: list[RunRecord]) -> float:
    """Return the hours that runs took; shared scores count once."""
    scorings = {scoring_spec(record.spec).name: record.scoring for record in records if record.spec.is_static_scored}
    return sum(cost.seconds for cost in [*(record.training for record in records), *scorings.values()]) / 3600


def results() -> list[str]:
    """Return the results of the comparison at equal compute."""
    studies = [open_study(name, "laptop") for name in ("equal_compute", "equal_compute_elsewhere")]
    runs = equal_compute.label_studies(studies)
    what = runs.drop_duplicates("method_label")[["method_label", "method"]]
    differences = equal_compute.differences_from_baseline(runs).merge(what, on="method_label")
    timed = open_study("epoch_seconds", "laptop")
    times = time_ratios(timed.records, ("rs2", 0.5)).groupby("sampler").median()
    captions = [*(study.caption for study in studies), f"time: {timed.caption}"]
    return [*markdown(result_table(differences, times)), "", *(f"- {caption}" for caption in captions)]


def result_table(differences: pd.DataFrame, times: pd.Series) -> pd.DataFrame:
    """Return differences from RS2 as text, in bold where they have a side, with times relative to it, by `method`."""
    column = differences["dataset"] + differences["saved"].map(", {:.0%}".format)
    texts = format_differences(differences).mask(differences["side"] != "", lambda text: "**" + text + "**")
    table = differences.assign(column=column, text=texts)
    methods = table.drop_duplicates("method_label").set_index("method_label")["method"]
    methods = methods.sort_index().sort_values(key=lambda names: names.map(ordered(methods).index), kind="stable")
    cells = table.pivot(index="method_label", columns="column", values="text").fillna("")
    cells = cells.loc[methods.index, list(dict.fromkeys(column))]
    is_default = methods.index == methods.map(lambda method: style(method).label)
    cells["time"] = methods.map(times).map("{:.1f}".format, na_action="ignore").where(is_default).fillna("")
    found = table.groupby("column")["detectable"].median().map("{:.1f}".format)
    cells.loc["*detectable*"] = found.reindex(cells.columns).fillna("")
    return cells.reset_index(names="")


def cards() -> list[str]:
    """Return one card per sampler."""
    stores = {name: Store(results_dir() / name) for name in RECORDED}
    tried = {spec.sampler for name, store in stores.items() for spec in load_profile(name).runs() if store.has(spec)}
    lines = []
    for name, sampler in SAMPLERS.items():
        lines += [*_card(name, sampler), *([] if name in tried else ["- no run of this study uses it"]), ""]
    return lines[:-1]


def _card(name: str, sampler: type[PruningSampler]) -> list[str]:
    what, *more = (text.replace("\n", " ") for text in (inspect.getdoc(sampler) or "").split("\n\n"))
    own = {key: value for key, value in sampler_settings(name).items() if key not in COMMON}
    meanings, size = _meanings(sampler), _bytes(name, sampler)
    return [
        f"## {style(name).label}",
        "",
        f"`{sampler.__name__}`, `--sampler {name}`; {size} byte{'s' * (size > 1)} per sample. {what}",
        "",
        *(f"- {text}" for text in more if text.startswith(WARNINGS)),
        *(f"- `{key} = {value}`: {meanings[key].partition(' Default:')[0]}" for key, value in own.items()),
    ]


def _meanings(sampler: type[PruningSampler]) -> dict[str, str]:
    """Return the description of each setting, from `Args` of the class and its parents."""
    found = {}
    for each in reversed(sampler.__mro__):
        arguments = re.search(r"Args:\n(.*?)(?:\n\n|\Z)", inspect.getdoc(each) or "", re.DOTALL)
        for key, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", arguments[1] if arguments else "", re.MULTILINE):
            found[key] = " ".join(text.split())
    return found


def _bytes(name: str, sampler: type[PruningSampler]) -> int:
    """Return the memory per sample of a sampler's tensors."""
    parameters = inspect.signature(sampler).parameters
    given: dict = {argument: torch.zeros(1_000).long() for argument in ("scores", "labels") if argument in parameters}
    made = sampler(1_000, 0.0 if name == "full" else 0.5, **given)
    tensors = [*made.memory.values(), *(value for value in vars(made).values() if isinstance(value, torch.Tensor))]
    return sum(tensor.nbytes for tensor in tensors) // 1_000 + 2  # marks of what was selected, and trained on
