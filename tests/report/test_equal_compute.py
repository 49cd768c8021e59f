import pandas as pd
import pytest

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.report import equal_compute, tables
from dynprune_lib.report.style import STYLES
from tests.helpers import tiny
from tests.report.tables import curve

ACCURACY = [
    curve("full", {10: [90.0, 91.0, 92.0]}),
    curve("fewer-epochs", {5: [86.0, 87.0, 88.0]}, rate=0.5),
    curve("rs2", {10: [86.0, 87.0, 88.0]}, 0.5),
    curve("ucb", {10: [87.0, 88.0, 89.0]}, 0.5),
    curve("ucb", {10: [87.5, 88.0, 88.5]}, 0.501, modifier="annealed", variant="anneal_from = 9", rate=0.56),
    curve("dynamic-el2n", {10: [88.0, 88.0, 88.0]}, 0.5, forward_only=1500.0),  # 0.55 of the compute
    curve("molpeg", {10: [89.0, 89.0, 89.0]}, 0.07, forward_only=900.0),  # 0.1 of it
    curve("fewer-epochs", {1: [80.0, 80.0, 80.0]}, 1.25, rate=0.9),  # 25 % more than RS2 at 90 %
    curve("rs2", {10: [69.5, 70.0, 70.5]}, 0.1),
    curve("ucb", {10: [60.0, 61.0, 62.0]}, 0.1),
]


def test_compute_counts_forward_passes_and_what_costs_more_is_left_out():
    runs = equal_compute.label_methods(pd.concat(ACCURACY, ignore_index=True))
    levels = runs.groupby("method_label")["saved"].agg(lambda saved: sorted(set(saved)))
    assert levels.to_dict() == {
        "full data": [0.0],
        "full data, fewer epochs": [0.5],
        "RS2": [0.5, 0.9],
        "UCB": [0.5, 0.9],
        "UCB, annealed": [0.5],
        "MolPeg": [0.9],  # at the level of what it spends
        "dynamic EL2N": [0.4],  # likewise, where no baseline was run
    }


def test_the_modifier_of_a_run():
    for sampler, settings, expected in (
        ("ucb", {"anneal_from": 3}, "annealed"),
        ("seta", {"random_from": 3}, "random at the end"),
        ("infobatch", {}, ""),
        ("infobatch", {"rescale": False}, "not rescaled"),
        ("dynamic-random", {"rescale": True, "anneal_from": 2, "warm_up": 1, "period": 2}, "annealed, rescaled"),
    ):
        assert tables.modifier(tiny(sampler, settings=settings)) == expected


@pytest.mark.parametrize("profile", ["smoke", "laptop"])
def test_the_runs_of_the_comparison_cost_the_same(profile):
    runs = load_profile(profile).runs("equal_compute", [0])
    full, shares = max(spec.epochs for spec in runs), {}
    for spec in (spec for spec in runs if spec.sampler != "full"):
        with_all = spec.settings["warm_up"]
        with_all += 0 if spec.settings["anneal_from"] is None else full - spec.settings["anneal_from"]
        share = (with_all + (1 - spec.prune_rate) * (full - with_all)) / full
        shares.setdefault((spec.sampler, tables.modifier(spec)), set()).add(round(share, 3))
    expected = shares["rs2", ""]
    assert {0.5} <= expected <= {0.1, 0.3, 0.5, 0.7}
    for (sampler, modifier), found in shares.items():
        assert found <= expected, (sampler, modifier)
        assert found >= expected - {0.1}, (sampler, modifier)
    by_default, annealed = ({name for name, modifier in shares if modifier == each} for each in ("", "annealed"))
    assert annealed - {"molpeg"} == by_default - {"order-dp", "rcap"}  # these in the form of their sources only


def test_published_numbers_name_their_source_and_protocol():
    found = pd.read_csv(equal_compute.PUBLISHED)
    assert set(found["method"]) <= STYLES.keys() | {"SeTa"}  # of which a variant is here
    assert found["source"].str.contains("table").all()
    assert found[["source", "protocol"]].map(bool).all(axis=None)
    assert found["test_accuracy"].between(60, 100).all()
