import pandas as pd
import pytest

from dynprune_lib.report import over_compute
from tests.report.tables import FULL, curve


def saving_table(*curves):
    return over_compute.saving_table(over_compute.spent(list(curves)))


def test_a_saving_is_what_was_really_left_out_and_methods_below_the_shortest_full_run_are_left_out():
    scored = curve("dynamic-el2n", {2: [85.0]}, cost=0.5, forward_only=600.0)  # 1000 passes and 200 for scores
    shorter, elsewhere = curve("fewer-epochs", {1: [80.0]}, rate=0.5), curve("rs2", {2: [85.0]}, 0.5, model="small")
    (row,) = saving_table(FULL, shorter, scored, elsewhere, curve("ucb", {2: [70.0]}, 0.5)).to_dict("records")
    assert (row["method"], row["prune rate"], row["compute saved"]) == ("dynamic EL2N", "50%", "40%")


def test_what_a_rule_chose_is_shown_with_the_number_of_runs_that_recorded_it():
    chosen = [("infobatch", [0.6, 0.7]), ("seta", [None, 0.4]), ("ucb", [None, None])]
    curves = [curve(name, {2: [85.0, 86.0]}, 0.5).assign(chosen_by_rule=shares) for name, shares in chosen]
    table = saving_table(FULL, *curves).set_index("method")["chosen by the rule"]
    assert table.to_dict() == {"InfoBatch": "65%", "SeTa (fixed length)": "40% (1 of 2 runs)", "UCB": ""}


def test_own_lengths_name_their_settings_and_seeds_that_save_different_amounts_are_one_cell():
    own = {"modifier": "own length", "own_length": True, "variant": "confidence = 0.7", "rate": 0.0}
    own["settings"] = {"fill": False, "confidence": 0.7}
    first, second = curve("infobatch", {2: [85.0]}, 0.54, **own), curve("infobatch", {2: [86.0]}, 0.56, **own)
    (row,) = saving_table(FULL, pd.concat([first, second.assign(seed=1)])).to_dict("records")
    assert (row["method"], row["n"]) == ("InfoBatch, own length, confidence = 0.7", 2)
    assert row["accuracy (%)"] == pytest.approx(85.5)
