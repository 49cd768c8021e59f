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
from dynprune_lib.report.style import style
from dynprune_lib.report.tables import format_differences
from dynprune_lib.report.timing import time_ratios
from dynprune_lib.samplers import SAMPLERS, PruningSampler

COMMON = ("period", "warm_up", "anneal_from", "rescale")  # described once, for all samplers
WARNINGS = ("Do not use it", "It prefers samples with wrong labels")  # how a paragraph begins that a card repeats

HEAD = """# Samplers

One card per sampler, written by `dynprune docs` from docstrings and run records; the results are from
[09_equal_compute](../notebooks/09_equal_compute.ipynb).

Every sampler takes `prune_rate`, `period` (epochs between two selections), `warm_up` (number of first epochs on full
data), `anneal_from` (first of the last epochs on full data) and `seed`. Samplers with a probability of keeping each
sample also take `rescale` (weight losses by its inverse); the others raise an error. All epochs have a fixed length;
`fill=False` gives `InfoBatch`, `SeTa`, `RePB`, `InstanceEarlyStopping` and `ProgressiveDropout` the epochs of their
authors, whose length follows from the losses. If a loss has no per-sample values,
`update(index, mean_loss, per_sample=False)` records the mean of the batch.

**Your own sampler** is a subclass of `PruningSampler` with one method, `select`; the shortest examples are in
[samplers/baselines.py](../dynprune_lib/samplers/baselines.py). `dynprune_lib.testing.check_sampler(MySampler)` checks
that it keeps the contract, `dynprune train --sampler module:Class` trains it, and it works in all tables and figures.

"""
COMPARED = """\
Results are differences in test accuracy, in percentage points, from RS2 at the same number of sample passes, each with
its own 95 % interval from pooled run-to-run variances ({caption}). RS2 shuffles the data and uses no scores. *Better*
and *worse* mean significant in Dunnett's test of all methods, levels of compute saved and data sets together, with the
family-wise error rate held at 5 %. *Not shown* does not mean equal: this
test detects, with 80 % power, differences of {detectable}. Methods whose runs vary
much more than the others are compared by a weaker test (Welch's), which may miss even a large difference. Samplers
whose cards have no differences are not part of this comparison."""


def cards() -> str:
    """Return the page in Markdown, with the results of the equal-compute comparison."""
    studies = [open_study(name, "laptop") for name in ("equal_compute", "equal_compute_elsewhere")]
    runs = equal_compute.label_studies(studies)
    what = runs.drop_duplicates("method_label")[["method_label", "method", "modifier"]]
    table = equal_compute.differences_from_baseline(runs).merge(what, on="method_label")
    differences = table.replace({"dataset": {studies[0].title: ""}})
    timed = open_study("epoch_seconds", "laptop")
    times = time_ratios(timed.records, ("rs2", 0.5)).groupby("sampler").median()
    compared = COMPARED.format(caption=studies[0].caption, detectable=_detectable(differences))
    compared += f" Times are medians of short runs ({timed.caption})."
    lines = [*HEAD.splitlines(), compared, ""]
    stores = {name: Store(results_dir() / name) for name in RECORDED}
    tried = {spec.sampler for name, store in stores.items() for spec in load_profile(name).runs() if store.has(spec)}
    for name, sampler in SAMPLERS.items():
        lines += _card(name, sampler, differences, times.get(name))
        lines += [""] if name in tried else ["- no run of this study uses it", ""]
    return "\n".join(lines)


def _card(name: str, sampler: type[PruningSampler], differences: pd.DataFrame, time: float | None) -> list[str]:
    label = style(name).label
    lines = [
        f"## {label}",
        "",
        f"`{sampler.__name__}`, `--sampler {name}` on the command line.",
        "",
        _paragraphs(sampler)[0],
        "",
    ]
    lines += [f"- {text}" for text in _paragraphs(sampler) if text.startswith(WARNINGS)]
    own = {key: value for key, value in sampler_settings(name).items() if key not in COMMON}
    meanings = _meanings(sampler)
    lines += [f"- `{key} = {value}`: {meanings[key]}" for key, value in own.items()] or ["- settings: none of its own"]
    size = _bytes(name, sampler)
    lines.append(f"- memory: {size} byte{'s' * (size > 1)} per sample, in addition to the subset")
    if time:
        lines.append(f"- time: {time:.1f} times that of RS2 per epoch at 50 % pruning, selection and scoring included")
    own = differences[differences["method"] == name]
    for (modifier, dataset), rows in own.groupby(["modifier", "dataset"], sort=False):
        what = (modifier or "default") + (f", {dataset}" if dataset else "")
        texts = format_differences(rows.set_index("saved"))
        points = [f"{text} points at {saved:.0%}" for saved, text in texts.items()]
        lines.append(f"- {what}: {', '.join(points)} compute saved; {_summary(rows)}")
    return lines


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


def _summary(rows: pd.DataFrame) -> str:
    """Return at which levels of compute saved a method is better or worse than the baseline."""
    if rows["ci95"].isna().any():
        return "a single seed, no conclusion"
    parts = [
        f"{word} at {', '.join(f'{saved:.0%}' for saved in rows.loc[rows['side'] == side, 'saved'])}"
        for word, side in (("better", "above"), ("worse", "below"))
        if (rows["side"] == side).any()
    ]
    if (rows["side"] == "").any():
        parts.append("otherwise not shown" if parts else "not shown")
    return ", ".join(parts)


def _detectable(differences: pd.DataFrame) -> str:
    """Return the smallest detectable difference at each level of compute saved, of each data set."""
    typical = differences.groupby(["dataset", "saved"])["detectable"].median().dropna()
    parts = []
    for dataset, rows in typical.groupby(level="dataset"):
        sizes = ", ".join(f"{size:.1f} points at {saved:.0%}" for (_, saved), size in rows.items())
        parts.append(f"{sizes} compute saved" + (f" on {dataset}" if dataset else ""))
    return "; ".join(parts)
