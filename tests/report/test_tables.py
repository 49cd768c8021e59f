import dataclasses

import numpy as np
import pytest
from scipy import stats

from dynprune_lib.experiments.profile import FEWER_EPOCHS, load_profile
from dynprune_lib.experiments.records import Cost, LeftOut
from dynprune_lib.report import comparisons, figures, tables
from dynprune_lib.report.style import STYLES
from dynprune_lib.samplers import SAMPLERS
from tests.helpers import make_record, tiny
from tests.report.tables import table


def test_styles_are_different_and_of_methods():
    assert STYLES.keys() <= SAMPLERS.keys() | {FEWER_EPOCHS}
    for part in ("label", "colour", "marker"):
        assert len({getattr(each, part) for each in STYLES.values()}) == len(STYLES)


def test_records_to_rows():
    record = make_record(tiny("ucb", 0.5, seed=4, epochs=3))
    record.epochs[-1] = dataclasses.replace(record.epochs[-1], test_accuracy=0.625, forward_passes=10)
    record = dataclasses.replace(record, scoring=Cost(seconds=7.0, forward_passes=9, backward_passes=5))
    (row,) = tables.tabulate([record]).to_dict("records")
    assert (row["method"], row["variant"], row["model"]) == ("ucb", "", "tiny")
    assert (row["rate"], row["seed"], row["test_accuracy"]) == (0.5, 4, 62.5)
    assert (row["passes"], row["forward_only"]) == (6, 8)
    assert (row["scoring_passes"], row["scoring_forward_only"]) == (5, 4)
    assert row["seconds"] == 3 * 3 * 1.5
    assert np.isnan(row["chosen_by_rule"])


@pytest.mark.parametrize(
    ("wanted", "settings", "share"),
    [
        ([1.0, 0.6, 0.2, None], {"anneal_from": 3}, 0.6),
        ([None, 0.5, 0.3, 0.3], {"random_from": 3}, 0.4),
        ([None, None, None, None], {}, np.nan),
    ],
)
def test_the_share_that_a_rule_chose_is_of_the_epochs_in_which_it_selects(wanted, settings, share):
    record = make_record(tiny("seta", epochs=4, settings=settings))
    left_out = LeftOut(overlap=[None] * 4, wanted=wanted, median_absence=1, longest_absence=1)
    chosen = tables.chosen_by_rule(dataclasses.replace(record, left_out=left_out))
    assert chosen == pytest.approx(share, nan_ok=True)


def test_the_role_of_a_run_is_stated_by_its_experiment_and_not_by_the_other_runs():
    profile = load_profile("smoke")
    cheaper, lengths = profile.experiments["accuracy_vs_pruning_rate"], profile.experiments["where_accuracy_is_lost"]
    short = next(spec for spec in cheaper.runs if spec.sampler == "full" and spec.epochs == 5)
    assert short in lengths.runs  # one record, which both experiments read
    for runs in ([short], cheaper.runs):
        rows = tables.tabulate(map(make_record, runs), cheaper.role)
        (row,) = rows[(rows["method"] == "fewer-epochs") & (rows["rate"] == 0.5)].to_dict("records")
        assert row["epochs"] == 5
    assert set(tables.tabulate(map(make_record, lengths.runs), lengths.role)["method"]) == {"full", "ucb"}
    assert tables.tabulate([make_record(short)])["method"].tolist() == ["full"]


def test_a_variant_is_named_for_what_differs_from_the_defaults():
    for changes, name in (
        ({"epochs": 3, "seed": 7, "settings": {"c": 1.0}}, ""),
        ({"settings": {"c": 0.0}}, "c = 0.0"),
        ({"score": "entropy"}, "score = entropy"),
        ({"rescore": True, "settings": {"std_bonus": True}}, "rescore = True, std_bonus = True"),
    ):
        assert tables.as_text(tables.varied_settings(tiny("ucb", 0.5, **changes))) == name


def test_a_sampler_that_the_package_does_not_know_has_its_class_name_and_comes_last():
    own = "tests.own_sampler:LowestLoss"
    methods = [("full", 0.0, {}), ("rs2", 0.5, {}), (own, 0.5, {}), (own, 0.5, {"anneal_from": 3})]
    runs = [tiny(name, rate, settings=own, epochs=4, seed=seed) for name, rate, own in methods for seed in (0, 1)]
    rows = tables.tabulate(map(make_record, runs))
    assert tables.accuracy_table(rows).index.tolist() == ["full data", "RS2", "LowestLoss"]
    assert comparisons.differences_from_default(rows).index.tolist() == ["LowestLoss, anneal_from = 3"]
    (axes,) = figures.plot_accuracy_vs_pruning_rate(rows, "title").axes
    assert [container.get_label() for container in axes.containers] == ["RS2", "LowestLoss"]


def test_intervals_against_scipy():
    values = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert tables.half_interval(values) == pytest.approx((high - low) / 2)
    assert tables.half_interval([3.0, 3.0]) == 0
    assert np.isnan(tables.half_interval([1.0]))
    assert tables.format_mean([1.25], 2) == "1.25"


def test_costs_are_shares_of_the_full_data_run():
    runs = table({("full", 0.0): [90], ("el2n", 0.5): [80]})
    runs.loc[1, ["scoring_passes", "scoring_forward_only", "forward_only"]] = [4e5, 2e5, 1e5]
    row = tables.costs(runs).set_index("method").loc["el2n"]
    assert row[["training", "scoring", "forward_only", "total"]].tolist() == pytest.approx([0.5, 0.4, 0.3, 1.0])
