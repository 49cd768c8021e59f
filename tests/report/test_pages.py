"""The pages with tables that are written from claims.yaml and the records."""

from dataclasses import replace

import pandas as pd
import pytest

from dynprune_lib.errors import DynpruneError
from dynprune_lib.experiments.records import Cost
from dynprune_lib.report import pages
from dynprune_lib.report.claims import Claim
from dynprune_lib.report.tables import markdown
from dynprune_lib.samplers import SAMPLERS
from tests.helpers import make_record, tiny

PAGE = "before\n<!-- claims: written by `dynprune docs` -->\nold\n<!-- end of claims -->\nafter\n"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "root", lambda: tmp_path)
    (tmp_path / "README.md").write_text(PAGE)
    return tmp_path


def test_a_block_is_replaced_and_the_rest_is_kept(checkout):
    text = pages.filled("README.md", {"claims": ["one", "two"]})
    assert text == PAGE.replace("old", "\none\ntwo\n")
    (checkout / "README.md").write_text(text)
    assert pages.filled("README.md", {"claims": ["one", "two"]}) == text
    with pytest.raises(DynpruneError, match=r"README.md has no block 'result': add the lines <!-- result: written by"):
        pages.filled("README.md", {"result": ["one"]})


def claim(**changes):
    made = {"claim": "C1", "title": "70 % and more, at once", "notebook": "05_x", "cells": "laptop/claim_C1.csv"}
    made |= {"decision": {"UCB": "holds"}, "short": "by a point", "verdict": "It is faster.", "numbers": []}
    return Claim(**made | changes)


def test_a_claim_has_a_few_words_that_lead_to_its_sentences(checkout, monkeypatch):
    monkeypatch.setattr(pages, "load_claims", lambda: [claim()])
    (checkout / "figures" / "laptop").mkdir(parents=True)
    (checkout / "figures" / "laptop" / "picture.png").touch()
    _, _, row = pages.claims()
    assert row == (
        "| **C1** 70 % and more, at once | [by a point](figures/README.md#c1-70--and-more-at-once) |"
        " [05](notebooks/05_x.ipynb) |"
    )
    assert pages.verdicts()[0] == "## C1: 70 % and more, at once"
    assert pages.verdicts()[-1].startswith("Decision: UCB holds (")
    assert pages.gallery()[0] == "## Figures of the profile laptop"  # other figures of it have other data sets
    assert "![picture](laptop/picture.png)" in pages.gallery()


def test_the_hours_of_shared_scores_count_once():
    runs = [tiny("forget", 0.3), tiny("forget", 0.5), tiny("forget", 0.3, seed=1)]  # which has scores of its own
    records = [replace(make_record(spec), scoring=Cost(seconds=3_600)) for spec in runs]
    assert pages.hours(records) == pytest.approx(2 + sum(record.training.seconds for record in records) / 3_600)


def test_the_table_has_a_row_for_each_form_and_bold_differences_that_are_none_of_chance():
    columns = ["dataset", "saved", "method_label", "method", "mean", "ci95", "side", "detectable"]
    rows = [
        ("CIFAR-10", 0.5, "UCB, annealed", "ucb", 0.2, 0.2, "", 0.6),  # its time was not measured
        ("CIFAR-10", 0.5, "UCB", "ucb", 0.9, 0.2, "above", 0.6),
        ("CIFAR-10", 0.5, "SeTa", "seta", 0.0, 0.2, "", 9.9),
        ("CIFAR-100", 0.7, "UCB", "ucb", -2.4, 0.7, "below", 1.6),
    ]
    table = pages.result_table(pd.DataFrame(rows, columns=columns), pd.Series({"ucb": 1.03}))
    assert markdown(table) == [
        "|  | CIFAR-10, 50% | CIFAR-100, 70% | time |",
        "| --- | --- | --- | --- |",
        "| UCB | **+0.9 ± 0.2** | **-2.4 ± 0.7** | 1.0 |",
        "| UCB, annealed | +0.2 ± 0.2 |  |  |",
        "| SeTa | +0.0 ± 0.2 |  |  |",
        "| *detectable* | 0.6 | 1.6 |  |",
    ]


def test_a_card_says_when_not_to_use_a_sampler():
    for name, warns in (("ucb", True), ("infobatch", True), ("rs2", False)):
        assert any("wrong labels" in line for line in pages._card(name, SAMPLERS[name])) == warns
