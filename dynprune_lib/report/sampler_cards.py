"""A card for every sampler, in `docs/samplers.md`: what it does from its own description, the rest from the records."""

import inspect
import re

import pandas as pd
import torch

from dynprune_lib.experiments.runs import sampler_settings
from dynprune_lib.paths import results_dir
from dynprune_lib.report import equal_compute as ring
from dynprune_lib.report.study import best_records
from dynprune_lib.report.style import style
from dynprune_lib.report.tables import describe
from dynprune_lib.samplers import SAMPLERS, PruningSampler, StaticScored

COMMON = ("period", "warm_up", "anneal_from", "rescale")  # told once, for all

HEAD = """# The samplers, one card each

Written by `make render`: what a sampler does is the beginning of its own description, the numbers are those of
[09_equal_compute](../notebooks/09_equal_compute.ipynb). All take `prune_rate`, `period`, `warm_up`, `anneal_from` and
`seed`; `rescale` where a probability of keeping a sample is defined.

"""
COMPARED = """\
Differences are in points of test accuracy from RS2, a plain shuffled pass over the data, at the same number of sample
passes, paired by seed, with 95 % intervals; *clearly above* is by Dunnett's test of all rules of one cost together,
*clearly below* by more than the interval"""

NOT_YET = "The runs of the ring are not all made yet at any size that counts: no card says what its sampler gave."


def cards() -> str:
    """The page, in Markdown, of the largest profile that has a record of each run of the ring."""
    found, caption = ring.all_differences() or (None, "")
    timed = best_records("epoch_seconds", results_dir())[1]
    times = ring.epoch_times(timed)["times RS2"] if timed else pd.Series()
    lines = [*HEAD.splitlines(), f"{COMPARED} ({caption})." if caption else NOT_YET, ""]
    for name, sampler in SAMPLERS.items():
        lines += [*_card(name, sampler, found, times.get(name)), ""]
    return "\n".join(lines)


def _card(name: str, sampler: type[PruningSampler], found: pd.DataFrame | None, times: float | None) -> list[str]:
    label = style(name).label
    lines = [f"## {label}", "", f"`{sampler.__name__}`, on the command line `{name}`.", "", _about(sampler), ""]
    own = {key: value for key, value in sampler_settings(name).items() if key not in COMMON}
    meanings = _meanings(sampler)
    lines += [f"- `{key} = {value}`: {meanings[key]}" for key, value in own.items()] or ["- no settings of its own"]
    lines.append(f"- memory: {_bytes(name, sampler)} bytes a sample, beside the subset")
    if times:
        lines.append(f"- time: {times:.2f} times that of RS2 for an epoch of half of the data, all costs inside")
    if found is not None:
        mine = found[found["rule"].str.split(", ").str[0] == label]
        for (rule, dataset), rows in mine.groupby(["rule", "dataset"], sort=False):
            way = rule.removeprefix(label).removeprefix(", ") or "as it is"
            where = f", on {dataset}" if dataset else ""
            lines.append(f"- {way}{where}: {describe(rows.set_index('saved'))} saved; {_advice(rows)}")
    return lines


def _about(sampler: type[PruningSampler]) -> str:
    """The first paragraph of its description."""
    return inspect.getdoc(sampler).split("\n\n")[0].replace("\n", " ")


def _meanings(sampler: type[PruningSampler]) -> dict[str, str]:
    """Setting -> what its class, or one that it is derived from, says of it under `Args`."""
    found = {}
    for each in reversed(sampler.__mro__):
        arguments = re.search(r"Args:\n(.*?)(?:\n\n|\Z)", inspect.getdoc(each) or "", re.DOTALL)
        for key, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", arguments[1] if arguments else "", re.MULTILINE):
            found[key] = " ".join(text.split())
    return found


def _bytes(name: str, sampler: type[PruningSampler]) -> int:
    given = {"scores": torch.zeros(1_000)} if issubclass(sampler, StaticScored) else {}
    made = sampler(1_000, 0.0 if name == "full" else 0.5, **given)
    remembered = [value for value in vars(made).values() if isinstance(value, torch.Tensor)]
    return sum(tensor.nbytes for tensor in remembered) // 1_000


def _advice(rows: pd.DataFrame) -> str:
    """Where it is clearly above the plain pass, and where below."""
    if rows["half"].isna().any():
        return "one seed decides nothing"
    clear = {
        "above": rows[rows["wins"]],
        "below": rows[rows["mean"] < -rows["half"]],
    }
    parts = [
        f"clearly {side} where {', '.join(f'{saved:.0%}' for saved in part['saved'])} is saved"
        for side, part in clear.items()
        if len(part)
    ]
    return " and ".join(parts) or "no difference that these seeds show"
