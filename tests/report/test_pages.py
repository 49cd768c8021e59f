"""The pages with tables that are written from claims.yaml and the records."""

import json
from dataclasses import replace

import pytest

from dynprune_lib.errors import DynpruneError
from dynprune_lib.experiments.records import Cost
from dynprune_lib.report import pages
from dynprune_lib.report.claims import Claim
from tests.helpers import make_record, tiny

PAGE = "before\n<!-- claims: written by `dynprune docs` -->\nold\n<!-- end of claims -->\nafter\n"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "root", lambda: tmp_path)
    (tmp_path / "README.md").write_text(PAGE)
    return tmp_path


def test_a_block_is_replaced_and_the_rest_is_kept(checkout):
    text = pages._filled("README.md", claims=["one", "two"])
    assert text == PAGE.replace("old", "\none\ntwo\n")
    (checkout / "README.md").write_text(text)
    assert pages._filled("README.md", claims=["one", "two"]) == text
    with pytest.raises(DynpruneError, match=r"README.md has no block 'result': add the lines <!-- result: written by"):
        pages._filled("README.md", result=["one"])


def claim(**changes):
    made = {"claim": "C1", "title": "70 % and more, at once", "notebook": "05_x", "cells": "laptop/claim_C1.csv"}
    made |= {"decision": {"UCB": "holds"}, "short": "by a point", "verdict": "It is faster.", "numbers": []}
    return Claim(**made | changes)


def test_a_claim_has_a_few_words_that_lead_to_its_sentences(checkout, monkeypatch):
    monkeypatch.setattr(pages, "load_claims", lambda: [claim()])
    (checkout / "figures" / "laptop").mkdir(parents=True)
    (checkout / "figures" / "laptop" / "picture.png").touch()
    _, _, row = pages._claims()
    assert row == (
        "| **C1** 70 % and more, at once | [by a point](figures/README.md#c1-70--and-more-at-once) |"
        " [05](notebooks/05_x.ipynb) |"
    )
    text = pages.gallery()
    assert "\n## C1: 70 % and more, at once\n\nIt is faster.\n\nDecision: UCB holds (" in text
    assert "\n## Figures of the profile laptop\n" in text  # other figures of it have other data sets
    assert "![picture](laptop/picture.png)" in text


def test_the_start_page_has_what_each_notebook_asks_and_found(checkout, monkeypatch):
    (checkout / "notebooks").mkdir()
    for name, heading in {"00_first": "One: first?", "05_x": "Two"}.items():
        cells = [{"cell_type": "markdown", "source": [f"# {heading}\n", "more"]}]
        (checkout / "notebooks" / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(pages, "load_claims", lambda: [claim(), claim(claim="C2", short="not at all")])
    *_, first, second, end = pages.start_page().split("\n")
    assert first == "| [00_first](00_first.ipynb) | One: first? |  |"
    assert (second, end) == ("| [05_x](05_x.ipynb) | Two | C1: by a point<br>C2: not at all |", "")


def test_the_hours_of_shared_scores_count_once():
    runs = [tiny("forget", 0.3), tiny("forget", 0.5), tiny("forget", 0.3, seed=1)]  # which has scores of its own
    records = [replace(make_record(spec), scoring=Cost(seconds=3_600)) for spec in runs]
    assert pages.hours(records) == pytest.approx(2 + sum(record.training.seconds for record in records) / 3_600)
