"""The pages with blocks that are written from records and verdicts."""

import json
from dataclasses import replace

import pytest

from dynprune_lib.errors import DynpruneError
from dynprune_lib.experiments.records import Cost
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.report import pages
from dynprune_lib.report.verdicts import Verdict
from tests.helpers import make_record

PAGE = """\
before
<!-- claims: written by `dynprune docs` -->
old
<!-- end of claims -->
after
"""


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


@pytest.mark.usefixtures("checkout")
def test_a_page_without_a_block_is_an_error():
    with pytest.raises(DynpruneError, match=r"README.md has no block 'result': add the lines <!-- result: written by"):
        pages._filled("README.md", result=["one"])


def test_a_claim_has_a_short_verdict_that_leads_to_its_numbers(checkout):
    made = {"evidence": "+1", "provenance": "CPU", "notebook": "05_x.ipynb"}
    verdict = Verdict(
        claim="C1", title="70 % and more, at once", verdict="supported on CIFAR-10 (1.1x or more)", **made
    )
    verdict.save(checkout / "figures" / "laptop")
    _, _, row = pages._claims(None)
    assert "[**supported on CIFAR-10 (1.1x or more)**](figures/README.md#c1-70--and-more-at-once)" in row
    assert row.endswith("| CPU ([05](notebooks/05_x.ipynb)) |")
    assert "\n## C1: 70 % and more, at once\n" in pages.gallery()
    assert "\n## Figures of the profile laptop\n" in pages.gallery()  # other figures of it have other data sets


def test_the_start_page_has_what_each_notebook_asks_and_found(checkout):
    (checkout / "notebooks").mkdir()
    for name, heading in {"00_first": "One: first?", "05_x": "Two"}.items():
        cells = [{"cell_type": "markdown", "source": [f"# {heading}\n", "more"]}]
        (checkout / "notebooks" / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))
    made = {"evidence": "+1", "provenance": "CPU", "notebook": "05_x.ipynb", "verdict": "not shown"}
    for claim in ("C1", "C2"):
        Verdict(claim=claim, title="it is so", **made).save(checkout / "figures" / "laptop")
    *_, first, second, end = pages.start_page().split("\n")
    assert first == "| [00_first](00_first.ipynb) | One: first? |  |"
    verdicts = "C1, it is so: **not shown**<br>C2, it is so: **not shown**"
    assert (second, end) == (f"| [05_x](05_x.ipynb) | Two | {verdicts} |", "")


def test_the_hours_of_shared_scores_count_once():
    runs = [RunSpec(dataset="digits", model="tiny", sampler="forget", prune_rate=rate) for rate in (0.3, 0.5)]
    runs.append(replace(runs[0], seed=1))  # has scores of its own
    records = [replace(make_record(spec), scoring=Cost(seconds=3_600)) for spec in runs]
    assert pages.hours(records) == pytest.approx(2 + sum(record.training.seconds for record in records) / 3_600)
