import pandas as pd

from dynprune_lib.report import sampler_cards
from dynprune_lib.samplers import SAMPLERS


def test_the_table_has_a_row_for_each_form_and_bold_differences_that_are_none_of_chance():
    columns = ["dataset", "saved", "method_label", "method", "mean", "ci95", "side", "detectable"]
    rows = [
        ("CIFAR-10", 0.5, "UCB", "ucb", 0.9, 0.2, "above", 0.6),
        ("CIFAR-10", 0.5, "UCB, annealed", "ucb", 0.2, 0.2, "", 0.6),
        ("CIFAR-10", 0.5, "SeTa", "seta", 0.0, 0.2, "", 9.9),
        ("CIFAR-100", 0.7, "UCB", "ucb", -2.4, 0.7, "below", 1.6),
    ]
    table = sampler_cards.result_table(pd.DataFrame(rows, columns=columns), pd.Series({"ucb": 1.03}))
    assert table == [
        "|  | CIFAR-10, 50% | CIFAR-100, 70% | time |",
        "| --- | --- | --- | --- |",
        "| UCB | **+0.9 ± 0.2** | **-2.4 ± 0.7** | 1.0 |",
        "| UCB, annealed | +0.2 ± 0.2 |  |  |",
        "| SeTa | +0.0 ± 0.2 |  |  |",
        "| *detectable* | 0.6 | 1.6 |  |",
    ]


def test_a_card_says_when_not_to_use_a_sampler():
    for name, warns in (("ucb", True), ("infobatch", True), ("rs2", False)):
        assert any("wrong labels" in line for line in sampler_cards._card(name, SAMPLERS[name])) == warns
