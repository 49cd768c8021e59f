import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dynprune_lib.experiments.profile import PROFILES, load_profile
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.report import equal_compute as ring
from dynprune_lib.report import tables
from dynprune_lib.report.figures import plot_ranking
from dynprune_lib.report.style import STYLES

ACCURACY = {
    # method, way, passes: by seed
    ("full", "", 1000): [90, 91, 92],
    ("fewer-epochs", "", 480): [86, 87, 88],
    ("rs2", "", 500): [86, 87, 88],
    ("ucb", "", 500): [87, 88, 89],
    ("ucb", "annealed", 501): [88, 88, 88],
    ("fewer-epochs", "", 125): [80, 80, 80],  # a quarter more than 90 % saved
    ("rs2", "", 100): [70, 70, 70],
    ("ucb", "", 100): [60, 61, 62],
}


@pytest.fixture
def runs():
    columns = ("method", "way", "passes", "seed", "test_accuracy")
    rows = [(*key, seed, float(accuracy)) for key, values in ACCURACY.items() for seed, accuracy in enumerate(values)]
    return ring.rules(pd.DataFrame(rows, columns=columns))


def test_rules_have_names_and_their_measured_cost(runs):
    assert set(runs["rule"]) == {"full data", "full data, fewer epochs", "RS2", "UCB", "UCB, annealed"}
    assert sorted(set(runs["saved"])) == [0.0, 0.5, 0.9]


def test_what_costs_more_than_its_share_stays_out(runs):
    assert runs[runs["rule"] == "full data, fewer epochs"]["saved"].tolist() == [0.5] * 3


def test_every_rule_against_the_plain_pass_of_its_cost(runs):
    found = ring.against_plain(runs).set_index(["saved", "rule"])
    assert found["mean"].to_dict() == {
        (0.5, "full data, fewer epochs"): 0,
        (0.5, "UCB"): 1,
        (0.5, "UCB, annealed"): 1,
        (0.9, "UCB"): -9,
    }
    assert found["n"].unique().tolist() == [3]
    assert found.loc[(0.5, "UCB, annealed"), "half"] == pytest.approx(tables.half_interval([2, 1, 0]))
    assert not found["wins"].any()  # a point is less than so few seeds can tell in three comparisons at once


def at_one_cost(generator, means, seeds=3, spread=0.3):
    """Runs of RS2 and of a rule for each of the means, which are points above it."""
    accuracies = generator.normal([80.0, *(80.0 + mean for mean in means)], spread, (seeds, len(means) + 1))
    names = ["RS2", *(f"rule {place}" for place in range(len(means)))]
    return pd.DataFrame(accuracies, columns=names).melt(var_name="rule", value_name="test_accuracy")


def test_a_rule_wins_if_it_is_above_the_plain_pass_among_all_that_are_compared():
    assert ring.winners(at_one_cost(np.random.default_rng(0), [0.0] * 10 + [2.0, -2.0, -30.0])) == {"rule 10"}


def test_rules_that_make_no_difference_seldom_win():
    generator = np.random.default_rng(0)
    wins = [ring.winners(at_one_cost(generator, [0.0] * 10)) for _ in range(30)]
    assert sum(map(bool, wins)) <= 3  # 0.75 are expected: that half of the 5 % which lies above


def test_the_test_leaves_out_single_seeds_and_what_fails():
    one = at_one_cost(np.random.default_rng(0), [9.0, 9.0])
    single = one[(one["rule"] != "rule 0") | ~one.duplicated("rule")]
    assert ring.winners(single) == {"rule 1"}
    assert ring.winners(one[one["rule"] == "RS2"]) == set()
    wild = at_one_cost(np.random.default_rng(0), [-40.0], spread=20.0)
    assert ring.winners(pd.concat([one, wild[wild["rule"] != "RS2"].replace("rule 0", "wild")])) == {"rule 0", "rule 1"}


def rows_of(**rules):
    """Differences from RS2 at 50 % and 70 %, each with an interval of one point."""
    rows = [
        (name, saved, mean, 1.0)
        for name, means in rules.items()
        for saved, mean in zip((0.5, 0.7), means, strict=False)
    ]
    found = pd.DataFrame(rows, columns=["rule", "saved", "mean", "half"])
    return found.assign(wins=found["mean"] > 1, dataset="")


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"a": (2, 0), "b": (1.5, 0)}, "a"),
        ({"a": (9, -2), "b": (1.5, 0)}, "b"),  # below at a share saved
        ({"a": (9,), "b": (1.5, 0)}, "b"),  # not run at every share
        ({"a": (0.9, 0.9), "b": (1.5, 0)}, "b"),  # nowhere clear
        ({"a": (0.9, 0.9)}, "RS2"),
        ({"a": (9, -2)}, "RS2"),
        ({"full data, fewer epochs": (9, 9), "a": (0, 0)}, "RS2"),
        ({"full data, fewer epochs": (9, 9)}, None),
    ],
)
def test_what_is_recommended(rules, expected):
    assert ring.recommended(rows_of(**rules)) == expected


def test_a_rule_that_loses_on_another_data_set_is_not_recommended():
    elsewhere = rows_of(a=(-2,)).assign(dataset="CIFAR-100", saved=0.5)
    assert ring.recommended(pd.concat([rows_of(a=(9, 9), b=(2, 2)), elsewhere])) == "b"
    assert ring.recommended(pd.concat([rows_of(a=(9, 9), b=(2, 2)), elsewhere.assign(mean=-0.5)])) == "a"


def test_a_rule_with_a_single_seed_is_not_recommended():
    single = rows_of(a=(9, 9)).assign(half=float("nan"))
    assert ring.recommended(pd.concat([single, rows_of(b=(2, 2))])) == "b"


def as_ours(runs):
    """The runs of UCB as if our own rule had made them, as `tabulate` has them."""
    return runs.assign(rate=runs["saved"], method=runs["method"].replace("ucb", "tilted-rs2")).query("way == ''")


def test_our_own_rule_wins_where_it_is_above_the_plain_pass_by_more_than_its_interval(runs):
    found = ring.ours(as_ours(runs)).set_index("saved")
    assert found["mean"].to_dict() == {0.5: 1, 0.9: -9}
    assert found["wins"].to_dict() == {0.5: True, 0.9: False}  # the seeds differ by exactly as much
    assert set(found["rule"]) == {STYLES["tilted-rs2"].label}
    even = as_ours(runs.assign(test_accuracy=80.0))
    assert not ring.ours(even)["wins"].any()


@pytest.mark.parametrize(("title", "names"), [("other", {"", "other"}), ("first", {""})])
def test_all_differences_name_another_data_set_and_have_nothing_twice(runs, monkeypatch, title, names):
    titles = {"equal_compute": "first", "tilted_rs2": "first", "equal_compute_elsewhere": title}

    def load_study(name):
        made = as_ours(runs) if name == "tilted_rs2" else runs
        return SimpleNamespace(runs=made, title=titles[name], caption="caption")

    monkeypatch.setattr(ring, "best_records", lambda *_: ("laptop", ["a record"]))
    monkeypatch.setattr(ring, "load_study", load_study)
    found, caption = ring.all_differences()
    assert caption == "caption"
    assert set(found["dataset"]) == names
    assert not found.duplicated(["rule", "saved", "dataset"]).any()
    here = found[found["dataset"] == ""]
    assert sorted(here[here["saved"] == 0.9]["rule"]) == ["UCB", STYLES["tilted-rs2"].label]


def test_one_seed_recommends_nothing():
    assert ring.recommended(rows_of(a=(2, 2)).assign(half=float("nan"))) is None


def test_what_a_way_gives_its_method(runs):
    (row,) = ring.gains(runs, "annealed").to_dict("records")
    assert (row["rule"], row["saved"], row["mean"], row["n"]) == ("UCB", 0.5, 0, 3)


def test_ours_stand_beside_the_published(runs):
    table = ring.beside_published(runs, "ours", "cifar10")
    assert table.loc[("UCB", "ours"), ["50%", "90%"]].tolist() == ["88.0 (-3.0)", "61.0 (-30.0)"]
    (theirs,) = (name for name in table.loc["UCB"].index if name.startswith("SeTa (Zhou"))
    assert table.loc[("UCB", theirs), "50%"] == "94.7 (-0.9)"
    assert table.loc["InfoBatch", "36%"].max() == "95.4 (-0.2)"
    assert "RS2" not in table.index.get_level_values(0)  # nobody has published it under this protocol
    text = ring.with_letters(table)
    assert re.search(r"UCB +\w .* 94\.7 \(-0\.9\)", text)
    assert re.search(r"\n *g +88\.0 \(-3\.0\)", text)
    assert text.endswith("\ng: ours")


def test_where_nothing_is_published_it_says_so(runs):
    table = ring.beside_published(runs, "ours", "digits")
    assert ring.with_letters(table) == "none are at hand for this data set"


@pytest.mark.parametrize(
    ("sampler", "settings", "expected"),
    [
        ("ucb", {}, ""),
        ("ucb", {"anneal_from": 3}, "annealed"),
        ("full", {}, ""),
        ("seta", {"random_from": 3}, "random at the end"),
        ("infobatch", {}, ""),
        ("infobatch", {"rescale": False}, "not rescaled"),
        ("dynamic-random", {"rescale": True, "anneal_from": 2}, "annealed, rescaled"),
        ("dynamic-el2n", {"warm_up": 1, "period": 2}, ""),
    ],
)
def test_what_is_added_to_a_rule(sampler, settings, expected):
    assert tables.way(RunSpec(dataset="digits", model="tiny", sampler=sampler, settings=settings)) == expected


def test_the_ranking_has_a_panel_for_each_cost_and_a_row_for_each_rule(runs):
    figure = plot_ranking(ring.against_plain(runs), "RS2", "title")
    assert [axes.get_title() for axes in figure.axes] == ["50% saved", "90% saved"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert set(labels) == {"UCB", "UCB, annealed", "full data, fewer epochs"}
    assert labels[-1] == "UCB"  # the worst on average


@pytest.mark.parametrize("profile", PROFILES)
def test_the_runs_of_the_ring_cost_the_same(profile):
    specs = [spec for spec in load_profile(profile).runs("equal_compute", [0]) if spec.sampler != "full"]
    full = max(spec.epochs for spec in load_profile(profile).runs("equal_compute", [0]))
    shares = {}
    for spec in specs:
        settings = spec.settings
        with_all = settings["warm_up"] + (0 if settings["anneal_from"] is None else full - settings["anneal_from"])
        share = (with_all + (1 - spec.prune_rate) * (full - with_all)) / full
        shares.setdefault((spec.sampler, tables.way(spec)), set()).add(round(share, 3))
    wanted = shares["rs2", ""]
    assert {0.3} <= wanted <= {0.1, 0.3, 0.5, 0.7}
    for (sampler, way), found in shares.items():
        assert found <= wanted, (sampler, way)
        assert found >= wanted - {0.1}, (sampler, way)
    assert {sampler for sampler, way in shares if way == "annealed"} == {sampler for sampler, _ in shares}


def test_published_numbers_name_their_source_and_protocol():
    found = ring.published()
    assert set(found["method"]) <= STYLES.keys()
    assert found[["source", "protocol"]].map(bool).all(axis=None)
    full = found[(found["dataset"] == "cifar10") & (found["method"] == "full")]
    assert full["test_accuracy"].tolist() == [95.6, 95.6, 95.58, 95.49, 94.98, 95.6]
    assert found["test_accuracy"].between(60, 100).all()
