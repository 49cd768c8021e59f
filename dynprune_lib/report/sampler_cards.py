"""Write `docs/samplers.md`, one card per sampler, from docstrings and run records."""

import inspect
import re

import pandas as pd
import torch

from dynprune_lib.experiments.profile import RECORDED, load_profile
from dynprune_lib.experiments.runs import sampler_settings
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import results_dir
from dynprune_lib.report import equal_compute
from dynprune_lib.report.study import open_study
from dynprune_lib.report.style import ordered, style
from dynprune_lib.report.tables import format_differences
from dynprune_lib.report.timing import time_ratios
from dynprune_lib.samplers import SAMPLERS, PruningSampler

# described once, for all samplers or for all bandits
COMMON = ("period", "warm_up", "anneal_from", "rescale", "alpha", "from_zero")
WARNINGS = ("Do not use it", "It prefers samples with wrong labels")  # how a paragraph begins that a card repeats


def results() -> list[str]:
    """Return the results of the comparison at equal compute, in Markdown."""
    studies = [open_study(name, "laptop") for name in ("equal_compute", "equal_compute_elsewhere")]
    runs = equal_compute.label_studies(studies)
    what = runs.drop_duplicates("method_label")[["method_label", "method"]]
    differences = equal_compute.differences_from_baseline(runs).merge(what, on="method_label")
    timed = open_study("epoch_seconds", "laptop")
    times = time_ratios(timed.records, ("rs2", 0.5)).groupby("sampler").median()
    captions = [*(study.caption for study in studies), f"time: {timed.caption}"]
    return [*result_table(differences, times), "", *(f"- {caption}" for caption in captions)]


def cards() -> list[str]:
    """Return one card per sampler, in Markdown."""
    stores = {name: Store(results_dir() / name) for name in RECORDED}
    tried = {spec.sampler for name, store in stores.items() for spec in load_profile(name).runs() if store.has(spec)}
    lines = []
    for name, sampler in SAMPLERS.items():
        lines += [*_card(name, sampler), *([] if name in tried else ["- no run of this study uses it"]), ""]
    return lines[:-1]


def result_table(differences: pd.DataFrame, times: pd.Series) -> list[str]:
    """Return the lines of a Markdown table: differences from RS2, in bold where they have a side, and times.

    Args:
        differences: a table of `differences_from_baseline`, with the column `method`.
        times: relative to RS2, by method.
    """
    column = differences["dataset"] + differences["saved"].map(", {:.0%}".format)
    texts = format_differences(differences).mask(differences["side"] != "", lambda text: "**" + text + "**")
    table = differences.assign(column=column, text=texts)
    methods = table.drop_duplicates("method_label").set_index("method_label")["method"]
    cells = table.pivot(index="method_label", columns="column", values="text").fillna("")
    order = ordered(methods)
    cells = cells.loc[sorted(methods.index, key=lambda label: order.index(methods[label])), list(dict.fromkeys(column))]
    is_default = cells.index.isin(methods.map(lambda method: style(method).label))
    cells["time"] = methods.map(times).map("{:.1f}".format, na_action="ignore").where(is_default).fillna("")
    found = table.groupby("column")["detectable"].median().map("{:.1f}".format)
    cells.loc["*detectable*"] = found.reindex(cells.columns).fillna("")
    rows = [
        ["", *cells.columns],
        ["---"] * (1 + len(cells.columns)),
        *([name, *row] for name, *row in cells.itertuples()),
    ]
    return [f"| {' | '.join(row)} |" for row in rows]


def _card(name: str, sampler: type[PruningSampler]) -> list[str]:
    what, *more = _paragraphs(sampler)
    own, meanings = (
        {key: value for key, value in sampler_settings(name).items() if key not in COMMON},
        _meanings(sampler),
    )
    size = _bytes(name, sampler)
    return [
        f"## {style(name).label}",
        "",
        f"`{sampler.__name__}`, `--sampler {name}`; {size} byte{'s' * (size > 1)} per sample. {what}",
        "",
        *(f"- {text}" for text in more if text.startswith(WARNINGS)),
        *(f"- `{key} = {value}`: {meanings[key].partition(' Default:')[0]}" for key, value in own.items()),
    ]


def _paragraphs(sampler: type[PruningSampler]) -> list[str]:
    """Return the paragraphs of a sampler's docstring, one line each."""
    return [text.replace("\n", " ") for text in (inspect.getdoc(sampler) or "").split("\n\n")]


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
