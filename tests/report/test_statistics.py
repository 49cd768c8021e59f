"""Each function against a hand-worked example or SciPy, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dynprune_lib.report import statistics

COLUMNS = ["method", "rate"]
PAIR = {"b - a": (("b", 0.5), ("a", 0.5))}


def runs_of(**methods):
    """Return runs at a rate of 0.5 from the accuracies of each method."""
    rows = [(name, 0.5, accuracy) for name, values in methods.items() for accuracy in values]
    return pd.DataFrame(rows, columns=[*COLUMNS, "test_accuracy"])


def simulated(generator, tables, means, sd=0.3, seeds=3):
    """Return `tables` independent tables, as rates, with one method per mean; `sd` is one number or one per method."""
    values = generator.normal(np.array(means), sd, (tables, seeds, len(means)))
    index = pd.MultiIndex.from_product(
        [range(tables), range(seeds), range(len(means))], names=["rate", "seed", "method"]
    )
    return pd.Series(values.ravel(), index, name="test_accuracy").reset_index()


def simulated_differences(runs, pairs):
    """Return the differences of the pairs of methods in every table of `simulated`, one table after the other."""
    named = {
        (rate, *pair): tuple((method, rate) for method in pair) for rate in runs["rate"].unique() for pair in pairs
    }
    return statistics.differences(statistics.pool_variances(runs, COLUMNS), named)


def test_variances_are_pooled_by_degrees_of_freedom_and_not_over_rates():
    runs = pd.concat([runs_of(a=[1, 2, 3], b=[4, 8], c=[5]), runs_of(a=[1, 3, 5]).assign(rate=0.9)])
    cells = statistics.pool_variances(runs, COLUMNS)
    assert cells["mean"].tolist() == [2, 3, 6, 5]  # a, a at the other rate, b, c
    assert cells["n"].tolist() == [3, 3, 2, 1]
    assert cells["own_variance"].iloc[:3].tolist() == [1, 4, 8]
    assert cells["variance"].iloc[:3].tolist() == pytest.approx([10 / 3, 4, 10 / 3])  # (2 x 1 + 1 x 8) / 3
    assert cells["df"].iloc[:3].tolist() == [3, 2, 3]
    assert cells[["variance", "df"]].iloc[3].isna().all()


def test_cells_with_outlying_variances_form_a_pool_of_their_own():
    alike = {name: [1, 2, 3] for name in "abcdefgh"}
    cells = statistics.pool_variances(runs_of(**alike, x=[0, 30, 60], y=[0, 40, 80]), COLUMNS)
    assert cells["variance"].tolist() == [1] * 8 + [(900 + 1600) / 2] * 2
    assert cells["df"].tolist() == [16] * 8 + [4] * 2
    assert cells["pool"].nunique() == 2


def test_the_largest_variance_is_tested_by_cochran():
    variance, df = np.array([1.0, 1.0, 1.0, 14.0]), np.full(4, 2.0)
    p = 4 * stats.f.sf(14, 2, 6)  # 0.022: not outlying at 1 %
    assert p > statistics.OUTLIER
    assert not statistics._has_outlying_variance(variance, df).any()
    assert 4 * stats.f.sf(20, 2, 6) < statistics.OUTLIER
    assert statistics._has_outlying_variance(np.array([1.0, 1.0, 1.0, 20.0]), df).tolist() == [False] * 3 + [True]


def test_equal_variances_are_seldom_outlying():
    generator = np.random.default_rng(0)
    found = [
        statistics._has_outlying_variance(row, np.full(10, 2.0)) for row in generator.chisquare(2, (3_000, 10)) / 2
    ]
    assert 0.005 < np.mean([row.any() for row in found]) < 0.015


def test_a_difference_within_a_pool_is_the_t_test_of_a_linear_model():
    a, b = [1, 2, 3], [4, 6, 8]
    row = statistics.differences(statistics.pool_variances(runs_of(a=a, b=b), COLUMNS), PAIR).loc["b - a"]
    assert (row["mean"], row["n"], row["df"]) == (4, 3, 4)
    assert row["se"] == pytest.approx(np.sqrt(2.5 * 2 / 3))
    assert row["ci95"] == pytest.approx(2.776 * np.sqrt(2.5 * 2 / 3), abs=1e-3)
    assert row["p"] == pytest.approx(stats.ttest_ind(a, b).pvalue)
    interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval()
    assert row["ci95_unpooled"] == pytest.approx((interval.high - interval.low) / 2)


def test_a_difference_between_pools_is_welchs_test():
    a, b = [1, 2, 3], [40, 60, 83]
    runs = pd.concat([runs_of(a=a), runs_of(b=b).assign(rate=0.9)])
    pairs = {"b - a": (("b", 0.9), ("a", 0.5))}
    row = statistics.differences(statistics.pool_variances(runs, COLUMNS), pairs).loc["b - a"]
    assert row["p"] == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert row["ci95"] == pytest.approx(row["ci95_unpooled"])


def test_a_single_run_has_a_difference_but_no_interval_and_is_not_tested():
    cells = statistics.pool_variances(runs_of(a=[1, 2, 3], b=[4], c=[10, 11, 12]), COLUMNS)
    table = statistics.holm(statistics.differences(cells, PAIR | {"c - a": (("c", 0.5), ("a", 0.5))}))
    assert table["mean"].tolist() == [2, 9]
    assert table.loc["b - a", ["ci95", "p", "p_family", "detectable"]].isna().all()
    assert table["side"].tolist() == ["", "above"]
    assert table.loc["c - a", "p_family"] == table.loc["c - a", "p"]  # a family of one


def test_two_seeds_decide_nothing():
    cells = {"a": [1, 2, 3], "b": [11, 12], "c": [11, 12, 13]}
    table = statistics.dunnett(runs_of(**cells), "method", "a")
    assert (table["p_family"] < 0.01).all()
    assert table["side"].tolist() == ["", "above"]


@pytest.mark.parametrize("sd", [0.3, [0.3, 0.3, 0.3, 0.3, 0.3, 30.0]])
def test_intervals_cover_the_difference(sd):
    runs = simulated(np.random.default_rng(0), 1_000, [0.0, 0.5, 0.0, 0.0, 0.0, 1.0], sd)
    table = simulated_differences(runs, [(1, 0), (5, 0)])
    for pair, true in (((1, 0), 0.5), ((5, 0), 1.0)):
        rows = table.loc[(slice(None), *pair), :]
        assert ((rows["mean"] - true).abs() < rows["ci95"]).mean() == pytest.approx(0.95, abs=0.02)


def test_the_interval_of_an_average_covers_the_common_difference():
    generator, pairs = np.random.default_rng(0), [(1, 0), (3, 2), (5, 4), (7, 6)]
    table = simulated_differences(simulated(generator, 1_000, [0, 1, 5, 6, 9, 10, 2, 3]), pairs)
    found = np.array([statistics.average(rows) for _, rows in table.groupby(np.arange(len(table)) // len(pairs))])
    assert (abs(found[:, 0] - 1) < found[:, 1]).mean() == pytest.approx(0.95, abs=0.02)


def test_a_difference_without_interval_does_not_count_in_an_average():
    table = pd.DataFrame({"mean": [1.0, 9.0], "se": [0.5, np.nan], "df": [4.0, np.nan]})
    assert statistics.average(table).tolist() == pytest.approx([1, 0.5 * stats.t.isf(0.025, 4), 1])


def test_holm_by_hand():
    table = pd.DataFrame({"mean": [1.0, -2.0, 3.0, 4.0], "p": [0.02, 0.01, np.nan, 0.04], "se": 1.0, "df": 9.0})
    tested = statistics.holm(table)
    assert tested["p_family"].tolist() == pytest.approx([0.04, 0.03, np.nan, 0.04], nan_ok=True)
    assert tested["side"].tolist() == ["above", "below", "", "above"]


def test_dunnett_is_scipys():
    a, b, c = [1, 2, 3], [4, 6, 8], [2, 2, 3]
    table = statistics.dunnett(runs_of(a=a, b=b, c=c), "method", "a")
    expected = stats.dunnett(b, c, control=a, rng=0).pvalue
    assert table["p_family"].tolist() == pytest.approx(expected.tolist(), abs=1e-3)
    assert table.index.tolist() == [(0.5, "b"), (0.5, "c")]
    assert table["side"].tolist() == ["above", ""]


@pytest.mark.filterwarnings("error")
def test_seeds_that_agree_are_no_reason_to_warn():
    runs = runs_of(a=[95.0, 96.0, 97.0], b=[95.8677] * 3, c=[99.0, 99.5, 100.0])
    table = statistics.dunnett(runs, "method", "a")
    assert table["side"].tolist() == ["", "above"]


def test_rates_and_outlying_cells_share_the_error_rate():
    alike = {name: [1, 2, 3.5] for name in "abcdefgh"}
    first, second = runs_of(**alike, wild=[200, 400, 300]), runs_of(a=[1, 2, 3], b=[4, 6, 8]).assign(rate=0.9)
    table = statistics.dunnett(pd.concat([first, second]), "method", "a")
    alone = statistics.dunnett(second, "method", "a")
    assert table.loc[(0.9, "b"), "p_family"] == pytest.approx(9 * alone.loc[(0.9, "b"), "p_family"], rel=1e-3)
    wild = table.loc[(0.5, "wild")]
    assert wild["p_family"] == pytest.approx(9 * wild["p"])  # Welch's test
    assert wild["df"] == pytest.approx(2, abs=0.01)


def test_rates_without_the_baseline_are_left_out():
    runs = pd.concat([runs_of(a=[1, 2, 3], b=[4, 6, 8]), runs_of(b=[1, 2, 3], c=[1, 2, 3]).assign(rate=0.9)])
    assert statistics.dunnett(runs, "method", "a").index.tolist() == [(0.5, "b")]


@pytest.mark.slow
def test_the_family_wise_error_of_dunnett_over_rates():
    runs = simulated(np.random.default_rng(0), 400, [0.0] * 4).rename(columns={"rate": "table"})
    runs = runs.assign(rate=runs["table"] % 2, table=runs["table"] // 2)  # two rates per table
    wrong = [(statistics.dunnett(table, "method", 0)["side"] != "").any() for _, table in runs.groupby("table")]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.03)


def test_the_smallest_detectable_difference_by_hand():
    normal = stats.norm.isf(0.025) + stats.norm.ppf(0.8)
    assert statistics.smallest_detectable(0.5, 1e7) == pytest.approx(0.5 * normal, rel=1e-4)
    of_ten = stats.norm.isf(0.0025) + stats.norm.ppf(0.8)
    assert statistics.smallest_detectable(0.5, 1e7, comparisons=10) == pytest.approx(0.5 * of_ten, rel=1e-4)
    assert np.isnan(statistics.smallest_detectable(np.nan, 4))


def test_the_smallest_detectable_difference_is_found_in_four_of_five_tables():
    df = 4 * (3 - 1)
    true = statistics.smallest_detectable(0.3 * np.sqrt(2 / 3), df)
    runs = simulated(np.random.default_rng(0), 2_000, [0.0, true, 0.0, 0.0])
    assert (simulated_differences(runs, [(1, 0)])["p"] < 0.05).mean() == pytest.approx(0.8, abs=0.02)


def test_without_loss_by_hand():
    table = pd.DataFrame({"mean": [-0.2, -0.25, 1.0, 0.0], "ci95": [0.29, 0.25, 2.0, np.nan]})
    assert statistics.without_loss(table, 0.5).tolist() == [True, False, False, False]
