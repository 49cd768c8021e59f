from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dynprune_lib.report import comparisons, tables
from tests.report.tables import RUNS, table


def test_methods_are_compared_at_each_rate_with_the_variance_of_that_rate():
    found = comparisons.differences_of_methods(RUNS, [("ucb", "dynamic-random"), ("dynamic-random", "ucb")])
    both = ["UCB", "dynamic random"]
    named = [[*both, 0.5], [*both, 0.7], [*reversed(both), 0.5], [*reversed(both), 0.7]]
    assert found[["method", "baseline", "rate"]].values.tolist() == named
    assert found["mean"].tolist() == pytest.approx([1.5, 1 / 6, -1.5, -1 / 6])
    assert found["df"].tolist() == [4] * 4
    variance = (np.var([88.0, 89.5, 91.0], ddof=1) + np.var([87.0, 88.0, 89.0], ddof=1)) / 2
    assert found["ci95"].iloc[0] == pytest.approx(stats.t.isf(0.025, 4) * np.sqrt(variance * 2 / 3))
    assert tables.format_differences(found).tolist()[0] == "+1.5 ± 2.9"
    single = comparisons.differences_of_methods(RUNS[RUNS["seed"] == 1], [("ucb", "dynamic-random")])
    assert tables.format_differences(single).tolist() == ["+1.5", "-0.5"]  # without an interval


def test_a_rate_that_one_method_lacks_is_left_out():
    runs = RUNS[(RUNS["method"] != "dynamic-random") | (RUNS["rate"] == 0.5)]
    found = comparisons.differences_of_methods(runs, [("ucb", "dynamic-random")])
    assert found["rate"].tolist() == [0.5]
    nowhere = comparisons.differences_of_methods(RUNS, [("ucb", "rs2")])
    assert nowhere.columns.tolist() == found.columns.tolist()
    assert nowhere.empty


def test_all_rates_are_compared_with_full_data():
    found = comparisons.differences_from_full_data(RUNS, "ucb")
    assert found["mean"].to_dict() == pytest.approx({0.5: -1.5, 0.7: -10.0})
    pooled = (1 + 7 / 12) / 2  # with 4 degrees of freedom; the variance of full data is 1, with 2
    assert found.loc[0.7, "df"] == pytest.approx((1 + pooled) ** 2 / (1 / 2 + pooled**2 / 4))


def test_runs_of_one_kind_are_compared_between_devices():
    cpu = table({("ucb", 0.5): [90, 91], ("rs2", 0.5): [80, 81]}, dataset="cifar10", epochs=16, device="CPU")
    gpu = cpu.assign(device="NVIDIA H200", test_accuracy=cpu["test_accuracy"] + 1)
    found = comparisons.differences_of_devices(pd.concat([cpu, gpu[gpu["method"] == "ucb"], gpu.assign(epochs=8)]))
    assert found[["method", "epochs", "mean", "n"]].values.tolist() == [["ucb", 16, 1.0, 2]]
    assert comparisons.differences_of_devices(cpu).empty


def test_variants_are_compared_with_their_own_method_and_those_that_cost_more_with_no_baseline():
    runs = table({("ucb", 0.7): [80, 81, 81], ("ucb", 0.7, "c = 0.0"): [81, 83, 82], ("rs2", 0.7): [70, 71, 71]})
    found = comparisons.differences_from_default(runs)
    assert found.index.tolist() == ["UCB, c = 0.0"]
    assert found["mean"].tolist() == [pytest.approx(4 / 3)]
    assert found["df"].tolist() == [6]
    longer = table({("ucb", 0.7, "warm_up = 2"): [90, 90, 90]}, passes=5e5)
    asking = table({("ucb", 0.7, "rescore = True"): [90, 90, 90]}, forward_only=1.0)
    found = comparisons.differences_of_bandits(pd.concat([runs, longer, asking]), "rs2")
    means = {("UCB", "default"): pytest.approx(10), ("UCB", "c = 0.0"): pytest.approx(34 / 3)}
    assert found.set_index(["method", "settings"])["mean"].to_dict() == means
    assert set(found["side"]) == {"above"}


def test_modifiers_are_compared_at_equal_compute():
    runs = table({("ucb", 0.5): [80, 81], ("rs2", 0.5): [79, 80]}).rename(columns={"rate": "saved"})
    both = pd.concat([runs, runs.assign(modifier="annealed", test_accuracy=runs["test_accuracy"] + 2)])
    found = comparisons.contrast(both, "modifier", [("annealed", "")], ["method", "saved"], by="saved")
    assert found["mean"].to_dict() == {("annealed", "", "rs2", 0.5): 2, ("annealed", "", "ucb", 0.5): 2}
    assert found["df"].tolist() == [4, 4]


def test_studies_are_tested_together_each_with_its_own_variance():
    model = SimpleNamespace(spec=SimpleNamespace(model="small"))
    studies = [SimpleNamespace(runs=RUNS, title=title, records=[model]) for title in ("one", "two")]
    found = comparisons.in_every_study(studies, [("ucb", "dynamic-random")])
    rows = [[title, "small net", rate] for title in ("one", "two") for rate in (0.5, 0.7)]
    assert found[["dataset", "net", "rate"]].values.tolist() == rows
    assert found["df"].tolist() == [4] * 4
    assert found["p_family"].min() == pytest.approx(min(1, 4 * found["p"].min()))
