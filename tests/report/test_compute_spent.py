import pandas as pd
import pytest

from dynprune_lib.report import compute_spent
from tests.report.tables import FULL, curve


def spent(*curves):
    return compute_spent.spent(list(curves))


def test_full_data_in_fewer_epochs_is_a_length_of_full_data():
    runs = spent(FULL, curve("fewer-epochs", {1: [80.0]}, cost=1.0).assign(rate=0.5))
    assert set(runs["method"]) == {"full"}
    assert runs["saved"].unique().tolist() == [0.0]


def test_a_saving_is_what_was_really_left_out_and_methods_below_the_shortest_full_run_are_left_out():
    scored = curve("dynamic-el2n", {2: [85.0]}, cost=0.5, forward_only=600.0)  # 1000 passes and 200 for scores
    (row,) = compute_spent.saving_table(spent(FULL, scored, curve("ucb", {2: [70.0]}, 0.5))).to_dict("records")
    assert (row["method"], row["prune rate"], row["compute saved"]) == ("dynamic EL2N", "50%", "40%")


def test_what_a_rule_chose_is_shown_with_the_number_of_runs_that_recorded_it():
    chosen = [("infobatch", [0.6, 0.7]), ("seta", [None, 0.4]), ("ucb", [None, None])]
    curves = [curve(name, {2: [85.0, 86.0]}, 0.5).assign(chosen_by_rule=shares) for name, shares in chosen]
    table = compute_spent.saving_table(spent(FULL, *curves)).set_index("method")["chosen by the rule"]
    assert table.to_dict() == {"InfoBatch": "65%", "SeTa (fixed length)": "40% (1 of 2 runs)", "UCB": ""}


def test_own_lengths_name_their_settings_and_have_a_panel():
    own = {"modifier": "own length, annealed", "own_length": True, "annealed": True, "variant": "confidence = 0.7"}
    own["settings"] = {"fill": False, "anneal_from": 1, "confidence": 0.7}
    runs = spent(FULL, curve("ucb", {2: [86.0]}, 0.5), curve("progressive-dropout", {2: [85.0]}, 0.4, **own))
    label = "progressive data dropout, own length, annealed, confidence = 0.7"
    assert runs.loc[runs["own_length"], "method_label"].unique().tolist() == [label]
    annealed = curve("ucb", {2: [86.5]}, 0.5, modifier="annealed", annealed=True, variant="anneal_from = 1")
    other = curve("rs2", {2: [86.0]}, 0.5)
    figure = compute_spent.plot_compute_spent(spent(runs, annealed, other), ["ucb"], "title\ncaption")
    labels = [axes.get_legend_handles_labels()[1] for axes in figure.axes]
    full = ["full data, fitted", "full data"]
    assert labels == [[*full, "UCB"], [*full, label]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*full, "UCB", label]


def test_seeds_of_an_own_length_that_save_different_amounts_are_one_cell():
    own = {"modifier": "own length", "own_length": True, "variant": "fill = False", "rate": 0.0}
    first, second = curve("infobatch", {2: [85.0]}, 0.54, **own), curve("infobatch", {2: [86.0]}, 0.56, **own)
    table = compute_spent.saving_table(spent(FULL, pd.concat([first, second.assign(seed=1)])))
    assert table["n"].tolist() == [2]
    assert table["accuracy (%)"].tolist() == [pytest.approx(85.5)]
