import pandas as pd
import pytest

from dynprune_lib.report import sampler_cards
from dynprune_lib.samplers import SAMPLERS


@pytest.mark.parametrize(
    ("sides", "ci95", "summary"),
    [
        (["above", "above"], 0.1, "better at 50%, 70%"),
        (["above", "below"], 0.1, "better at 50%, worse at 70%"),
        (["", "below"], 0.1, "worse at 70%, otherwise not shown"),
        (["", ""], 0.1, "not shown"),
        (["", ""], float("nan"), "a single seed, no conclusion"),
    ],
)
def test_a_card_says_where_a_method_is_better_or_worse(sides, ci95, summary):
    assert sampler_cards._summary(pd.DataFrame({"saved": [0.5, 0.7], "side": sides, "ci95": ci95})) == summary


def test_the_smallest_detectable_difference_is_that_of_each_level_and_data_set():
    rows = [("", 0.5, 1.0), ("", 0.5, 1.0), ("", 0.5, 99.0), ("", 0.7, 1.2), ("CIFAR-100", 0.5, 1.5)]
    found = sampler_cards._detectable(pd.DataFrame(rows, columns=["dataset", "saved", "detectable"]))
    assert found == "1.0 points at 50%, 1.2 points at 70% compute saved; 1.5 points at 50% compute saved on CIFAR-100"


def test_a_card_says_when_not_to_use_a_sampler():
    none = pd.DataFrame(columns=["method", "modifier", "dataset"])
    for name, warns in (("ucb", True), ("infobatch", True), ("rs2", False)):
        card = sampler_cards._card(name, SAMPLERS[name], none, None)
        assert any("wrong labels" in line for line in card) == warns
