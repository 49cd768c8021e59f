import pandas as pd
import pytest

from dynprune_lib.report import sampler_cards
from dynprune_lib.samplers import SAMPLERS


@pytest.mark.parametrize(
    ("sides", "summary"),
    [
        (["above", "above"], "better at 50%, 70%"),
        (["above", "below"], "better at 50%, worse at 70%"),
        (["", "below"], "worse at 70%, otherwise not shown"),
        (["", ""], "not shown"),
    ],
)
def test_a_card_says_where_a_method_is_better_or_worse(sides, summary):
    assert sampler_cards._summary(pd.DataFrame({"saved": [0.5, 0.7], "side": sides, "ci95": 0.1})) == summary


def test_a_single_seed_has_no_conclusion():
    rows = pd.DataFrame({"saved": [0.5], "side": [""], "ci95": [float("nan")]})
    assert sampler_cards._summary(rows) == "a single seed, no conclusion"


def test_the_smallest_detectable_difference_is_that_of_each_level_and_data_set():
    rows = [("", 0.5, 1.0), ("", 0.5, 1.0), ("", 0.5, 99.0), ("", 0.7, 1.2), ("CIFAR-100", 0.5, 1.5)]
    found = sampler_cards._detectable(pd.DataFrame(rows, columns=["dataset", "saved", "detectable"]))
    assert found == "1.0 points at 50%, 1.2 points at 70% compute saved; 1.5 points at 50% compute saved on CIFAR-100"


def test_a_card_says_when_not_to_use_a_sampler():
    none = pd.DataFrame(columns=["method", "modifier", "dataset"])
    for name, warns in (("ucb", True), ("infobatch", True), ("rs2", False)):
        card = sampler_cards._card(name, SAMPLERS[name], none, None)
        assert any("wrong labels" in line for line in card) == warns
