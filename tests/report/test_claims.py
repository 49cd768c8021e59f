"""The claims: their rule, and the entries of claims.yaml against the numbers of the figures."""

import re

import pandas as pd
import pytest
import yaml

from dynprune_lib.errors import DynpruneError
from dynprune_lib.report import claims
from tests.helpers import ROOT

FIRST = {"shown": 1.3, "row": {"method": "UCB", "rate": 0.5}, "column": "mean"}
SECOND = {"shown": "0.50", "factor": -1, "row": {"method": "UCB", "rate": 0.7}, "column": "mean"}
ENTRY = {
    "claim": "C9",
    "title": "it works",
    "notebook": "05_x",
    "cells": "laptop/claim_C9.csv",
    "decision": {"UCB": "mixed", "RS2": "open"},
    "short": "by 1.3 points",
    "verdict": "UCB gains 1.3 points at 50 % and loses 0.50 at 70 %.",
    "numbers": [FIRST, SECOND],
}
UCB = [("UCB", 0.5, 1.29, "above", 5), ("UCB", 0.7, -0.5, "", 5)]
RS2 = [("RS2", 0.5, 0.1, "", 5), ("RS2", 0.7, 9.0, "above", 2)]
CELLS = pd.DataFrame(UCB + RS2, columns=["method", "rate", "mean", "side", "n"])

DECIMAL = re.compile(r"[+-]?\d+\.\d+")


def faults_of(claim, root):
    """Return numbers of a claim that no file contains, and decisions that differ from the computed ones."""
    found = [fault for number in claim.numbers if (fault := fault_of_number(number, claim, root))]
    listed, text = {str(number["shown"]).lstrip("+-") for number in claim.numbers}, f"{claim.short} {claim.verdict}"
    quoted = dict.fromkeys(DECIMAL.findall(text))
    found += [f"{each} is quoted and not listed under numbers" for each in quoted if each.lstrip("+-") not in listed]
    found += [f"{each} is listed and not quoted" for each in sorted(listed) if each not in text]
    cells = pd.read_csv(root / "figures" / claim.cells)
    cells["side"] = cells["side"].astype(object).fillna("")
    is_one = isinstance(claim.decision, str)
    computed = claims.decide(cells) if is_one else claims.decisions(cells)["decision"].to_dict()
    if computed != claim.decision:
        found.append(f"the decision is {computed}, not {claim.decision}: write its sentences anew")
    return [f"{claim.claim}: {fault}" for fault in found]


def fault_of_number(number, claim, root):
    """Return what is wrong with a quoted number, or nothing."""
    path = root / "figures" / (number.get("file") or claim.cells)
    table = pd.read_csv(path)
    for column, value in number["row"].items():
        table = table[table[column] == value]
    if len(table) != 1:
        return f"{len(table)} rows of {path.name} match {number['row']}, not one"
    value, shown = number.get("factor", 1) * float(table[number["column"]].iloc[0]), str(number["shown"])
    digits = len(shown.partition(".")[2])
    is_right = f"{value:.{digits}f}" == shown.lstrip("+")
    return "" if is_right else f"{shown} is quoted, {path.name} has {value:.{digits + 1}f}: write the sentence anew"


@pytest.fixture
def faults(tmp_path, monkeypatch):
    """A function that writes an entry and its file, and returns the faults that are found."""
    monkeypatch.setattr(claims, "root", lambda: tmp_path)
    (tmp_path / "figures" / "laptop").mkdir(parents=True)

    def found(cells=CELLS, **changes):
        cells.to_csv(tmp_path / "figures" / "laptop" / "claim_C9.csv", index=False)
        (tmp_path / "claims.yaml").write_text(yaml.safe_dump([ENTRY | changes]))
        (claim,) = claims.load_claims()
        return faults_of(claim, tmp_path)

    return found


def test_one_rule_decides():
    for sides, decision in (
        (["above", "above"], "holds"),
        (["below", "below"], "fails"),
        (["above", ""], "mixed"),
        (["", "below"], "mixed"),
        (["above", "below"], "mixed"),
        (["", ""], "open"),
        ([], "too few seeds"),
    ):
        table = pd.DataFrame({"side": pd.Series(sides, dtype=object)})
        assert claims.decide(table.assign(n=3)) == claims.decide(table) == decision  # the second: counted, not drawn
    assert claims.decide(CELLS[CELLS["method"] == "RS2"]) == "open"  # a setting with two seeds decides nothing
    assert claims.decide(CELLS.assign(n=2)) == "too few seeds"


@pytest.mark.parametrize(
    ("cells", "changes", "expected"),
    [
        (CELLS, {}, []),
        (CELLS.replace(1.29, 1.36), {}, ["1.3 is quoted, claim_C9.csv has 1.36: write the sentence anew"]),
        (CELLS.replace(-0.5, 0.5), {}, ["0.50 is quoted, claim_C9.csv has -0.500: write the sentence anew"]),
        (CELLS.replace({"side": {"above": ""}}), {}, ["the decision is {'UCB': 'open', 'RS2': 'open'}, not {"]),
        (CELLS.assign(n=2), {}, ["the decision is {'UCB': 'too few seeds', 'RS2': 'too few seeds'}, not {"]),
        (CELLS, {"short": "by 2.7 points"}, ["2.7 is quoted and not listed under numbers"]),
        (CELLS, {"verdict": "UCB gains 1.3."}, ["0.50 is listed and not quoted"]),
        (CELLS, {"numbers": [FIRST | {"row": {"rate": 0.5}}, SECOND]}, ["2 rows of claim_C9.csv match {'rate': 0.5}"]),
    ],
)
def test_an_entry_says_what_its_file_says_and_quotes_the_numbers_that_it_lists(faults, cells, changes, expected):
    found = faults(cells, **changes)
    assert len(found) == len(expected)
    assert all(fault.startswith(f"C9: {each}") for fault, each in zip(found, expected, strict=True))


def test_an_entry_with_an_unknown_field_is_an_error(faults):
    with pytest.raises(DynpruneError, match=r"claims.yaml: .*unexpected keyword argument 'colour'"):
        faults(colour="blue")


def test_the_committed_sentences_are_those_of_the_committed_numbers():
    entries = claims.load_claims()
    assert {f"C{number}" for number in range(1, 7)} <= {entry.claim for entry in entries}
    assert [fault for entry in entries for fault in faults_of(entry, ROOT)] == []


def numbers(text):
    """Return the decimal numbers of a text, without those of code, addresses, versions and names."""
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|https?://\S+|arXiv:\S+|<!--.*?-->", " ", text, flags=re.DOTALL)
    text = re.sub(r"[Vv]ersion 0\.\d|since 0\.\d|[Pp]ython 3\.\d+|torch \d\.\d+|1\.11x or more", " ", text)
    return re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)", text)


def values():
    """Return all numbers of the csv files in figures."""
    found = set()
    for path in sorted((ROOT / "figures").glob("*/*.csv")):
        table = pd.read_csv(path).select_dtypes("number")
        found |= {abs(float(value)) for value in table.to_numpy().ravel() if value == value}
    return found


HERE = {"file": "desktop/speed_up.csv"}
UCB_THERE = {"setting": "CIFAR-10, speedrun net", "method_label": "UCB", "saved": 0.5}
README = [  # the numbers of its sentences, in their order, and where they are from
    HERE | {"shown": "1.42", "row": UCB_THERE, "column": "speed_up"},
    HERE | {"shown": "1.35", "row": UCB_THERE, "column": "low"},
    HERE | {"shown": "1.51", "row": UCB_THERE, "column": "high"},
    HERE | {"shown": "1.35", "row": UCB_THERE | {"method_label": "UCB, annealed"}, "column": "speed_up"},
    {"shown": "0.1", "notebook": "03_accuracy_vs_pruning_rate", "line": r"ucb +\S+ ± 0.2 ✓ +-0.1 ± 0.2 ✓ "},
    {"shown": "0.8", "file": "desktop/claim_baseline.csv", "row": {"rate": 0.5}, "column": "mean"},
    {"shown": "0.498", "notebook": "05_time_to_accuracy", "line": r"0.5 .* 0.498 \("},
    {
        "shown": "2.6",
        "file": "desktop/claim_wrong-labels.csv",
        "row": {"method": "UCB", "label_noise": 0.2, "against": "fewer-epochs"},
        "column": "mean",
    },
]


def test_every_decimal_number_of_the_readme_is_that_of_its_file_or_notebook():
    prose = "\n".join(line for line in (ROOT / "README.md").read_text().splitlines() if not line.startswith("|"))
    assert numbers(prose) == [each["shown"] for each in README]
    for each in README:
        if "file" in each:
            assert not fault_of_number(each, None, ROOT)
        else:
            assert re.search(each["line"], (ROOT / "notebooks" / f"{each['notebook']}.ipynb").read_text())


@pytest.mark.parametrize("page", ["docs/results.md", "docs/statistics.md"])
def test_every_decimal_number_of_a_page_is_in_a_file_of_figures_or_in_a_table(page):
    known = values()
    prose = "\n".join(line for line in (ROOT / page).read_text().splitlines() if not line.startswith("|"))
    listed = {str(number["shown"]).lstrip("+-") for claim in claims.load_claims() for number in claim.numbers}
    rounded = {digits: {f"{value:.{digits}f}" for value in known} for digits in range(1, 5)}
    for number in numbers(prose):
        digits = len(number.partition(".")[2])
        assert number in listed or number in rounded[digits], f"{page}: {number} is in no file of figures"


def test_the_committed_trials_say_what_the_text_says():
    trials = pd.read_csv(ROOT / "docs" / "rule_trials.csv")
    at_equal_cost = trials[trials["passes"] < 1.03 * trials.loc[trials["rule"] == "RS2", "passes"].mean()]
    best = at_equal_cost.groupby(["rule", "dataset"])["accuracy"].mean().groupby("rule").mean().idxmax()
    assert best == "in proportion to the mean loss"
    recipes = pd.read_csv(ROOT / "docs" / "recipe_trials.csv").groupby("change")["accuracy"].mean()
    assert recipes.max() - recipes["none (the profile's recipe)"] < 0.3
