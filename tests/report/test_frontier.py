from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.report import frontier
from dynprune_lib.report.study import open_study
from tests.helpers import ROOT, make_record
from tests.report.tables import FULL, curve

SECONDS = pd.Series([60.0], index=pd.MultiIndex.from_tuples([("tiny", "full data", 0.0)]))


def measure(*curves):
    return frontier.measure_compute(pd.concat(curves, ignore_index=True))


def speed_up(*curves):
    return frontier.speed_up(measure(*curves))


def lengths(random, cost=1.0, epochs=(4, 8, 16, 32), factor=1.0, seeds=3):
    """Return accuracies of a method that reaches 70 % + 5 % per doubling at 1 / `factor` of the compute."""
    return {each: 70 + 5 * np.log2(each * cost * factor) + random.normal(0, 0.3, seeds) for each in epochs}


def on(dataset, seed, **factors):
    """Return runs on full data, and at half of the compute by methods of these speed-ups."""
    curves = [curve("full", lengths(np.random.default_rng(seed)), dataset=dataset)]
    for number, (name, factor) in enumerate(factors.items(), seed + 1):
        accuracies = lengths(np.random.default_rng(number), 0.5, (16, 32), factor)
        curves.append(curve(name.replace("_", "-"), accuracies, 0.5, dataset=dataset))
    return curves


ANNEALED = {"modifier": "annealed", "variant": "anneal_from = 14"}
CIFAR_10 = on("cifar10", 0, ucb=1.4, rs2=2.0)
CIFAR_10 += [CIFAR_10[1].assign(**ANNEALED)]
CIFAR_100 = on("cifar100", 4, ucb=0.7, dynamic_random=0.8)


def test_a_method_halfway_up_a_doubling_is_faster_by_the_root_of_two():
    full = curve("full", {1: [79.9, 80.1], 2: [90.0]})  # a straight line over the logarithm of compute
    runs = measure(full, curve("ucb", {2: [84.9, 85.1]}, cost=0.5))
    (row,) = frontier.speed_up(runs).to_dict("records")
    assert (row["method_label"], row["saved"], row["epochs"], row["n"]) == ("UCB", 0.5, 2, 2)
    assert (row["full_epochs"], row["test_accuracy"], row["bound"]) == (1, 85, "")
    assert row["points"] == pytest.approx(5)  # full data has 80 % at that compute
    half = stats.t.isf(0.025, 2) * np.sqrt(0.02 * (1 / 2 + 1 / 2))  # of the two seeds of each
    assert row["ci95"] == pytest.approx(half)
    doublings = [0.5, 0.5 - half / 10, 0.5 + half / 10]
    assert [row["speed_up"], row["low"], row["high"]] == pytest.approx([2**each for each in doublings], rel=1e-3)
    (common,) = frontier.common_speed_up(runs).to_dict("records")
    assert [common["points"], common["ci"], common["df"]] == pytest.approx([5, half, 2])
    assert (common["n"], common["lengths"]) == (2, 1)
    assert np.isnan(common["p_common"])


def test_the_band_of_full_data_by_hand():
    band = frontier.full_data_band(measure(FULL))
    half = stats.t.isf(0.025, 1) * np.sqrt(2 / np.array([2, 1]))
    assert band["ci95"].tolist() == pytest.approx(half)
    assert band["curve"].tolist() == pytest.approx([80, 90])
    assert band["low"].tolist() == pytest.approx(np.array([80, 90]) - half)
    assert band["high"].tolist() == pytest.approx(np.array([80, 90]) + half)


def test_beyond_the_measured_lengths_there_is_a_bound_and_no_extrapolation():
    above = curve("ucb", {1: [95.0, 95.2]}, cost=0.5)
    below = curve("rs2", {4: [60.0, 60.2]}, cost=0.5)
    table = speed_up(FULL, above, below).set_index("method")
    assert table["bound"].to_dict() == {"ucb": ">", "rs2": "<"}
    assert table["speed_up"].tolist() == pytest.approx([4, 0.5])
    assert (table.loc["ucb", "low"], table.loc["rs2", "high"]) == pytest.approx((4, 0.5))
    assert table.loc["ucb", "high"] == np.inf
    assert table.loc["rs2", "low"] == 0


def test_passes_that_go_forward_only_and_scoring_are_charged():
    method = curve("dynamic-el2n", {1: [85.0]}, cost=0.5, forward_only=150.0, scoring_passes=300.0)
    runs = measure(FULL, method.assign(scoring_forward_only=150.0))
    assert runs["compute"].iloc[-1] == pytest.approx(500 + 300 + 300 / 3)
    assert (runs["full_epochs"].iloc[-1], runs["saved"].iloc[-1]) == pytest.approx((0.9, 0.1))


def test_one_seed_has_no_interval():
    (row,) = speed_up(FULL, curve("ucb", {2: [85.0]}, cost=0.5)).to_dict("records")
    assert np.isnan([row["low"], row["high"], row["ci95"]]).all()
    (common,) = frontier.common_speed_up(measure(FULL, curve("ucb", {2: [85.0]}, cost=0.5))).to_dict("records")
    assert np.isnan([common["low"], common["high"], common["ci"]]).all()
    assert common["speed_up"] == pytest.approx(np.sqrt(2), rel=1e-2)


def test_full_data_is_as_fast_as_itself_and_neither_the_unit_of_compute_nor_the_order_matters():
    full, method = CIFAR_10[:2]
    (row,) = frontier.common_speed_up(measure(full, full.assign(method="ucb"))).to_dict("records")
    assert row["speed_up"] == pytest.approx(1, abs=0.01)
    other = pd.concat([full, method]).sample(frac=1, random_state=0)
    other = other.assign(passes=7 * other["passes"])
    columns = ["points", "ci", "speed_up", "low", "high", "p_common"]
    first, second = (frontier.common_speed_up(measure(*each))[columns] for each in ([full, method], [other]))
    assert first.to_numpy() == pytest.approx(second.to_numpy())


@pytest.mark.slow
def test_intervals_cover_the_true_speed_up():
    random, truth = np.random.default_rng(0), {"ucb": 1.4, "rs2": 1.1, "dynamic-random": 0.9}
    covered = {"common": [], "at each length": [], "points": []}
    for _ in range(40):
        full = curve("full", lengths(random, epochs=(2, 4, 8, 16, 32)))
        methods = [curve(name, lengths(random, 0.5, (16, 32), factor), 0.5) for name, factor in truth.items()]
        runs = measure(full, *methods)
        for name, table in (("common", frontier.common_speed_up(runs)), ("at each length", frontier.speed_up(runs))):
            factor = table["method"].map(truth)
            covered[name] += ((table["low"] <= factor) & (factor <= table["high"])).tolist()
        points = 5 * np.log2(table["method"].map(truth))
        covered["points"] += ((table["points"] - points).abs() <= table["ci95"]).tolist()
    for name, found in covered.items():
        assert np.mean(found) == pytest.approx(0.95, abs=0.04), name


def test_one_factor_is_refused_where_the_lengths_differ():
    full = curve("full", lengths(np.random.default_rng(0), epochs=(2, 4, 8, 16, 32)))
    same = curve("ucb", lengths(np.random.default_rng(1), 0.5, (8, 16, 32), 1.4), 0.5)
    apart = lengths(np.random.default_rng(2), 0.5, (8,), 2.0) | lengths(np.random.default_rng(3), 0.5, (32,), 0.7)
    other = curve("rs2", apart, 0.5)
    table = frontier.common_speed_up(measure(full, same, other)).set_index("method")
    assert table["lengths"].to_dict() == {"ucb": 3, "rs2": 2}
    assert table.loc["ucb", "p_common"] > 0.05
    assert table.loc["rs2", "p_common"] < 0.001
    assert table.loc["ucb", "speed_up"] == pytest.approx(1.4, abs=0.1)


def test_a_factor_that_is_not_looked_for_is_an_open_end_of_its_interval():
    full = curve("full", {1: [79.9, 80.1], 2: [90.0], 4: [100.0]})
    slow, fast = curve("rs2", {8: [66.7, 66.9]}, 0.5), curve("ucb", {2: [104.9, 105.1]}, 0.5)
    table = frontier.common_speed_up(measure(full, slow, fast)).set_index("method")  # at a tenth of the speed, beyond
    assert table.loc["rs2", ["speed_up", "low"]].tolist() == pytest.approx([frontier.FACTORS[0], 0], rel=1e-3)
    assert table.loc["ucb", "high"] == np.inf


def test_a_curve_that_falls_again_counts_at_its_highest():
    cells = frontier.mean_of_seeds(measure(curve("full", {1: [80.0, 80.2], 2: [90.0, 90.2], 4: [88.0, 88.2]})))
    found = frontier.Curve(cells)
    top = found.accuracy(np.linspace(found.logs[0], found.logs[-1], 1001)).max()
    assert found.compute_for(np.array([top - 0.001]))[0] < 3
    assert found.compute_for(np.array([top + 0.001]))[0] == np.inf
    # 80.1 + 16 u - 6 u^2 in the number of doublings u, and along the tangent below
    assert found.accuracy(np.log([2**0.5, 0.5])).tolist() == pytest.approx([86.6, 64.1])
    assert found.accuracy(np.log([8.0]))[0] == pytest.approx(88.1)


def test_each_setting_has_a_curve_of_its_own_and_runs_that_two_experiments_share_count_once():
    method = curve("ucb", {2: [84.0, 86.0]}, cost=0.5)
    wide = [runs.assign(model="small") for runs in (FULL, curve("ucb", {2: [90.0, 90.0]}, cost=0.5))]
    table = speed_up(FULL, method, *wide, FULL, method, curve("full", {4: [80.0]}, dataset="cifar10"))
    assert table["setting"].tolist() == ["digits (8x8), tiny net", "digits (8x8), small net"]  # no single lengths
    assert table["speed_up"].tolist() == pytest.approx([np.sqrt(2), 2], rel=1e-3)
    assert table["n"].tolist() == [2, 2]
    assert speed_up(*wide)["setting"].tolist() == ["digits (8x8)"]


def test_the_methods_under_test_are_fixed_and_hold_together():
    runs = measure(*CIFAR_10, *CIFAR_100)
    table = frontier.of_the_paper(runs)
    assert table[["method_label", "setting", "side"]].values.tolist() == [
        ["UCB", "CIFAR-10", "above"],
        ["UCB", "CIFAR-100", "below"],
        ["dynamic random", "CIFAR-100", "below"],
    ]
    alone = frontier.common_speed_up(runs).loc[table.index]
    wider = stats.t.isf(0.025 / 3, table["df"]) / stats.t.isf(0.025, table["df"])  # three comparisons, one error rate
    assert (table["ci"] / alone["ci"]).tolist() == pytest.approx(wider.tolist())
    assert (table["detectable"] > table["ci"]).all()
    assert set(frontier.of_the_paper(runs[runs["seed"] < 2])["side"]) == {""}


def test_time_to_accuracy_is_read_from_the_lengths_of_each_method():
    runs = [curve("full", {1: [80.0], 4: [90.0]}), curve("ucb", {2: [84.0], 4: [88.0]}, cost=0.5)]
    table = frontier.time_to_accuracy(measure(*runs), SECONDS)
    assert table["accuracy"].unique().tolist() == [80, 85, 90]
    full, ucb = (table[table["method"] == method] for method in ("full", "ucb"))
    assert full["full_epochs"].tolist() == pytest.approx([1, 2, 4])
    assert full["bound"].tolist() == ["", "", ""]
    assert full["seconds"].tolist() == pytest.approx([60, 120, 240])
    assert ucb["full_epochs"].tolist() == pytest.approx([1, 2**0.25, 2])
    assert ucb["bound"].tolist() == ["<", "", ">"]
    assert ucb["seconds"].isna().all()  # not timed
    cells = frontier.mean_of_seeds(measure(curve("full", {1: [80.0], 2: [90.0], 4: [88.0], 8: [90.5]})))
    assert frontier.reach(cells, 90.0)[0] == pytest.approx(2)  # a longer run that gains nothing is not needed
    assert frontier.reach(cells, 90.25)[0] == pytest.approx(4)


def test_seconds_are_those_of_as_many_passes_as_full_data_has():
    records = [make_record(spec) for spec in load_profile("smoke").runs("timing", seeds=[0])]
    for record in (each for each in records if each.spec.sampler == "ucb"):
        record.epochs[-1] = replace(record.epochs[-1], backward_passes=1)  # of 2
    seconds = frontier.seconds_per_full_epoch(records)
    assert (seconds["tiny", "full data", 0.0], seconds["tiny", "UCB", 0.5]) == (4.5, 9)


def test_the_curve_goes_through_the_committed_means_as_well_as_the_page_says():
    found = []
    for name in ("frontier", "frontier_elsewhere"):
        cells = frontier.mean_of_seeds(frontier.measure_compute(open_study(name, "desktop").runs))
        curve, full = frontier.Curve(cells), cells[cells["method"] == "full"]
        left = len(full) - curve.degree - 1
        squares = (full["n"] * (full["test_accuracy"] - curve.accuracy(np.log(full["full_epochs"]))) ** 2).sum()
        found.append(stats.f.sf(squares / left / curve.variance, left, curve.df))
    quoted = f"(p = {found[0]:.2f} and {found[1]:.2f})"
    assert quoted in (ROOT / "docs" / "statistics.md").read_text()
