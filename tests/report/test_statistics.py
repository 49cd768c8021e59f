"""Each function against a hand-worked example or SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dynprune_lib.report import statistics

COLUMNS = ["method", "rate"]


def runs_of(rate=0.5, **methods):
    """Return runs at a rate from the accuracies of each method."""
    rows = [(name, rate, accuracy) for name, values in methods.items() for accuracy in values]
    return pd.DataFrame(rows, columns=[*COLUMNS, "test_accuracy"])


def test_variances_are_pooled_by_degrees_of_freedom_and_not_over_rates():
    runs = pd.concat([runs_of(a=[1, 2, 3], b=[4, 8], c=[5]), runs_of(0.9, a=[1, 3, 5])])
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
    assert 4 * stats.f.sf(14, 2, 6) > statistics.OUTLIER > 4 * stats.f.sf(20, 2, 6)
    for largest, is_outlying in ((14.0, False), (20.0, True)):
        found = statistics._has_outlying_variance(np.array([1.0, 1.0, 1.0, largest]), np.full(4, 2.0))
        assert found.tolist() == [False] * 3 + [is_outlying]
    assert statistics._has_outlying_variance(np.array([1.0, 1e4]), np.full(2, 2.0)).tolist() == [False, True]


def test_a_difference_within_a_pool_is_the_t_test_of_a_linear_model():
    a, b = [1, 2, 3], [4, 6, 8]
    cells = statistics.pool_variances(runs_of(a=a, b=b), COLUMNS)
    row = statistics.differences(cells.loc["b"], cells.loc["a"]).loc[0.5]
    assert (row["mean"], row["n"], row["df"]) == (4, 3, 4)
    assert row["se"] == pytest.approx(np.sqrt(2.5 * 2 / 3))
    assert row["ci95"] == pytest.approx(stats.t.isf(0.025, 4) * np.sqrt(2.5 * 2 / 3))
    assert row["p"] == pytest.approx(stats.ttest_ind(a, b).pvalue)
    interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval()
    assert row["ci95_unpooled"] == pytest.approx((interval.high - interval.low) / 2)


def test_a_difference_between_pools_is_welchs_test():
    a, b = [1, 2, 3], [40, 60, 83]
    cells = statistics.pool_variances(pd.concat([runs_of(a=a), runs_of(0.9, b=b)]), COLUMNS)
    (row,) = statistics.differences(*(cells.loc[name].reset_index(drop=True) for name in "ba")).to_dict("records")
    assert row["p"] == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert row["ci95"] == pytest.approx(row["ci95_unpooled"])


def test_a_single_run_has_a_difference_but_no_interval_and_is_not_tested():
    cells = statistics.pool_variances(runs_of(a=[1, 2, 3], b=[4], c=[10, 11, 12]), COLUMNS)
    control = cells.loc[[("a", 0.5)] * 2].set_axis(["b", "c"])
    table = statistics.holm(statistics.differences(cells.loc[["b", "c"]].droplevel("rate"), control))
    assert table["mean"].tolist() == [2, 9]
    assert table.loc["b", ["ci95", "p", "p_family", "detectable"]].isna().all()
    assert table["side"].tolist() == ["", "above"]
    assert table.loc["c", "p_family"] == table.loc["c", "p"]  # a family of one


def test_an_average_is_weighted_by_the_inverse_of_the_squared_errors():
    table = pd.DataFrame({"mean": [1.0, 3.0, 9.0], "se": [0.5, 1.0, np.nan], "df": [8.0, 4.0, np.nan]})
    average = [(4 * 1 + 1 * 3) / 5, stats.t.isf(0.025, 4) / np.sqrt(5), 2]  # one without an interval does not count
    assert statistics.average(table).tolist() == pytest.approx(average)


def test_holm_by_hand():
    table = pd.DataFrame({"mean": [1.0, -2.0, 3.0, 4.0], "p": [0.02, 0.01, np.nan, 0.04], "se": 1.0, "df": 9.0})
    tested = statistics.holm(table)
    assert tested["p_family"].tolist() == pytest.approx([0.04, 0.03, np.nan, 0.04], nan_ok=True)
    assert tested["side"].tolist() == ["above", "below", "", "above"]


def test_dunnett_is_scipys_where_there_is_a_baseline():
    a, b, c = [1, 2, 3], [4, 6, 8], [2, 2, 3]
    table = statistics.dunnett(pd.concat([runs_of(a=a, b=b, c=c), runs_of(0.9, b=a, c=b)]), "method", "a")
    expected = stats.dunnett(b, c, control=a, rng=0).pvalue
    assert table["p_family"].tolist() == pytest.approx(expected.tolist(), abs=1e-3)
    assert table.index.tolist() == [(0.5, "b"), (0.5, "c")]
    assert table["side"].tolist() == ["above", ""]


@pytest.mark.filterwarnings("error")
def test_seeds_that_agree_are_no_reason_to_warn():
    runs = runs_of(a=[95.0, 96.0, 97.0], b=[95.8677] * 3, c=[99.0, 99.5, 100.0])
    assert statistics.dunnett(runs, "method", "a")["side"].tolist() == ["", "above"]


def test_rates_and_outlying_cells_share_the_error_rate():
    alike = {name: [1, 2, 3.5] for name in "abcdefgh"}
    first, second = runs_of(**alike, wild=[200, 400, 300]), runs_of(0.9, a=[1, 2, 3], b=[4, 6, 8])
    table = statistics.dunnett(pd.concat([first, second]), "method", "a")
    alone = statistics.dunnett(second, "method", "a")
    assert table.loc[(0.9, "b"), "p_family"] == pytest.approx(9 * alone.loc[(0.9, "b"), "p_family"], rel=1e-3)
    wild = table.loc[(0.5, "wild")]
    assert wild["p_family"] == pytest.approx(9 * wild["p"])  # Welch's test
    assert wild["df"] == pytest.approx(2, abs=0.01)


def test_the_smallest_detectable_difference_by_hand():
    normal, of_ten = (stats.norm.isf(error) + stats.norm.ppf(0.8) for error in (0.025, 0.0025))
    assert statistics.smallest_detectable(0.5, 1e7) == pytest.approx(0.5 * normal, rel=1e-4)
    assert statistics.smallest_detectable(0.5, 1e7, comparisons=10) == pytest.approx(0.5 * of_ten, rel=1e-4)
    shift = statistics.smallest_detectable(0.5, df=4) / 0.5
    assert stats.nct.sf(stats.t.isf(0.025, 4), 4, shift) == pytest.approx(0.8)
    assert np.isnan(statistics.smallest_detectable(np.nan, 4))


def test_without_loss_by_hand():
    table = pd.DataFrame({"mean": [-0.2, -0.25, 1.0, 0.0], "ci95": [0.29, 0.25, 2.0, np.nan]})
    assert statistics.without_loss(table, 0.5).tolist() == [True, False, False, False]
