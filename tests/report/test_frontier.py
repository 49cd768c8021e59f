from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.report import frontier, frontier_text, pages
from dynprune_lib.report.frontier_figure import plot_frontier
from tests.helpers import make_record
from tests.report.tables import FULL, curve

mpl.use("Agg")

SECONDS = pd.Series([60.0], index=pd.MultiIndex.from_tuples([("tiny", "full data", 0.0)]))


def speed_up(*curves, **options):
    runs = pd.concat(curves, ignore_index=True)
    return frontier.speed_up(frontier.measure_compute(runs), **options)


def test_a_method_halfway_up_a_doubling_is_faster_by_the_root_of_two():
    (row,) = speed_up(FULL, curve("ucb", {2: [84.0, 86.0]}, cost=0.5)).to_dict("records")
    assert (row["method_label"], row["saved"], row["epochs"], row["n"]) == ("UCB", 0.5, 2, 2)
    assert (row["full_epochs"], row["test_accuracy"], row["bound"]) == (1, 85, "")
    assert row["speed_up"] == pytest.approx(np.sqrt(2))
    assert 1 < row["low"] < row["speed_up"] < row["high"]


def test_beyond_the_frontier_there_is_a_bound_and_no_extrapolation():
    above = curve("ucb", {2: [95.0, 95.2]}, cost=0.5)
    below = curve("rs2", {2: [60.0, 60.2]}, cost=0.5)
    table = speed_up(FULL, above, below).set_index("method")
    assert table["bound"].to_dict() == {"ucb": ">", "rs2": "<"}
    assert table["speed_up"].tolist() == pytest.approx([2, 1])
    assert table.loc["ucb", ["low", "high"]].tolist() == pytest.approx([2, np.inf])
    assert table.loc["rs2", ["low", "high"]].tolist() == pytest.approx([0, 1])


def test_passes_that_go_forward_only_and_scoring_are_charged():
    method = curve("dynamic-el2n", {1: [85.0]}, cost=0.5, forward_only=150.0, scoring_passes=300.0)
    runs = frontier.measure_compute(pd.concat([FULL, method.assign(scoring_forward_only=150.0)]))
    assert runs["compute"].iloc[-1] == pytest.approx(500 + 300 + 300 / 3)
    assert (runs["full_epochs"].iloc[-1], runs["saved"].iloc[-1]) == pytest.approx((0.9, 0.1))


def test_one_seed_has_no_interval():
    (row,) = speed_up(FULL, curve("ucb", {2: [85.0]}, cost=0.5)).to_dict("records")
    assert row["speed_up"] == pytest.approx(np.sqrt(2))
    assert np.isnan([row["low"], row["high"]]).all()
    table = speed_up(curve("full", {1: [80.0], 2: [90.0]}), curve("ucb", {2: [85.0]}))
    assert table["low"].isna().all()


def lengths(random, cost=1.0, epochs=(4, 8, 16, 32), factor=1.0, seeds=3):
    """Return accuracies of a method that reaches 70 % + 5 % per doubling at 1 / `factor` of the compute."""
    return {each: 70 + 5 * np.log2(each * cost * factor) + random.normal(0, 0.3, seeds) for each in epochs}


def test_full_data_is_as_fast_as_itself_and_the_unit_of_compute_does_not_matter():
    accuracies = lengths(np.random.default_rng(0))
    full, method = curve("full", accuracies), curve("ucb", lengths(np.random.default_rng(1), 0.5), 0.5)
    assert speed_up(full, curve("ucb", accuracies))["speed_up"].tolist() == pytest.approx([1.0] * 4)
    scaled = [runs.assign(passes=7 * runs["passes"]) for runs in (full, method)]
    columns = ["speed_up", "low", "high"]
    assert speed_up(*scaled)[columns].to_numpy() == pytest.approx(speed_up(full, method)[columns].to_numpy())


def test_the_order_of_runs_does_not_matter_for_the_speed_up():
    full = curve("full", lengths(np.random.default_rng(0)))
    method = curve("ucb", lengths(np.random.default_rng(1), 0.5), 0.5)
    reverse = speed_up(full.iloc[::-1], method)["speed_up"]
    assert reverse.tolist() == pytest.approx(speed_up(full, method)["speed_up"].tolist())


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.95, 1 - 0.05 / 3])
def test_intervals_cover_the_true_speed_up(monkeypatch, level):
    monkeypatch.setattr(frontier, "REPLICATES", 400)
    random, covered = np.random.default_rng(0), []
    for _ in range(150):
        full = curve("full", lengths(random))
        methods = [
            curve(name, lengths(random, 0.5, (16, 32), factor), 0.5)
            for name, factor in (("ucb", 1.4), ("rs2", 1.1), ("dynamic-random", 0.9))
        ]
        table = speed_up(full, *methods, level=level)
        truth = table["method"].map({"ucb": 1.4, "rs2": 1.1, "dynamic-random": 0.9})
        covered += ((table["low"] <= truth) & (truth <= table["high"])).tolist()
    assert np.mean(covered) == pytest.approx(level, abs=0.03)


def test_a_frontier_that_decreases_is_made_monotone():
    line = frontier.Frontier([4, 1, 2], [88.0, 80.0, 90.0])
    assert line.accuracy == pytest.approx([80, 89, 89])
    assert np.exp(line.log_compute([89.0, 84.5])) == pytest.approx([2, np.sqrt(2)])


def test_each_setting_has_a_frontier_of_its_own():
    wide = [runs.assign(model="small") for runs in (FULL, curve("ucb", {2: [90.0, 90.0]}, cost=0.5))]
    table = speed_up(FULL, curve("ucb", {2: [85.0, 85.0]}, cost=0.5), *wide)
    assert table["setting"].tolist() == ["digits (8x8)", "digits (8x8) with the small net"]
    assert table["speed_up"].tolist() == pytest.approx([np.sqrt(2), 2])


def test_runs_that_two_experiments_share_count_once():
    method = curve("ucb", {2: [84.0, 86.0]}, cost=0.5)
    assert speed_up(FULL, method, FULL, method)["n"].tolist() == [2]


def test_the_methods_under_test_are_fixed():
    methods = [
        curve("ucb", {2: [84.0, 86.0], 1: [80.0, 81.0]}, cost=0.5),
        curve("ucb", {2: [89.0, 89.0]}, cost=0.5, modifier="annealed", variant="anneal_from = 1"),
        curve("ucb", {2: [89.0, 89.0]}, cost=0.7),
        curve("rs2", {2: [89.0, 89.0]}, cost=0.5),
        curve("dynamic-random", {2: [83.0, 85.0]}, cost=0.5),
    ]
    runs = frontier.measure_compute(pd.concat([FULL, *methods]))
    table = frontier.at_the_greatest_length(frontier.of_the_paper(runs))
    assert table[["method_label", "epochs"]].values.tolist() == [["UCB", 2], ["dynamic random", 2]]
    one = frontier.speed_up(runs).loc[table.index]
    assert (table["low"] < one["low"]).all()  # three comparisons, one error rate


def test_time_to_accuracy_is_read_from_the_curve_of_each_method():
    runs = [curve("full", {1: [80.0], 4: [90.0]}), curve("ucb", {2: [84.0], 4: [88.0]}, cost=0.5)]
    table = frontier.time_to_accuracy(frontier.measure_compute(pd.concat(runs)), SECONDS)
    assert table["accuracy"].unique().tolist() == [80, 85, 90]
    full, ucb = (table[table["method"] == method] for method in ("full", "ucb"))
    assert full["full_epochs"].tolist() == pytest.approx([1, 2, 4])
    assert full["seconds"].tolist() == pytest.approx([60, 120, 240])
    assert ucb["full_epochs"].tolist() == pytest.approx([1, 2**0.25, 2])
    assert ucb["bound"].tolist() == ["<", "", ">"]
    assert ucb["seconds"].isna().all()  # not timed


def test_seconds_are_those_of_as_many_passes_as_full_data_has():
    records = [make_record(spec) for spec in load_profile("smoke").runs("timing", seeds=[0])]
    seconds = frontier.seconds_per_full_epoch(records)
    assert (
        seconds["tiny", "full data", 0.0] == seconds["tiny", "UCB", 0.5] == 4.5
    )  # every epoch of these has the same passes


CIFAR_10 = [
    curve("full", lengths(np.random.default_rng(0)), dataset="cifar10"),
    curve("ucb", lengths(np.random.default_rng(1), 0.5, (16, 32), 1.4), 0.5, dataset="cifar10"),
    curve("rs2", lengths(np.random.default_rng(2), 0.5, (16, 32), 2.0), 0.5, dataset="cifar10"),
    curve("ucb", lengths(np.random.default_rng(3), 0.5, (16, 32)), 0.5, dataset="cifar10").assign(
        modifier="annealed", variant="anneal_from = 14"
    ),
]
CIFAR_100 = [
    curve("full", lengths(np.random.default_rng(4)), dataset="cifar100"),
    curve("ucb", lengths(np.random.default_rng(5), 0.5, (16, 32), 0.7), 0.5, dataset="cifar100"),
    curve("dynamic-random", lengths(np.random.default_rng(6), 0.5, (16, 32), 0.8), 0.5, dataset="cifar100"),
]


def of_the_paper(*curves):
    paper = frontier.of_the_paper(frontier.measure_compute(pd.concat(curves, ignore_index=True)))
    return paper, frontier.at_the_greatest_length(paper)


def test_the_verdict_names_where_and_how_much():
    paper, tested = of_the_paper(*CIFAR_10, *CIFAR_100)
    low, high = tested["low"].iloc[0], tested["high"].iloc[1:].max()
    expected = f"supported on CIFAR-10 ({low:.2f}x or more); contradicted on CIFAR-100 ({high:.2f}x or less)"
    assert frontier_text.verdict_from_speed_ups(tested) == expected
    factor = tested["speed_up"].iloc[0]
    headline = frontier_text.headline(tested)
    assert headline == (
        f"At equal accuracy in the longest runs, full data needs {factor:.2f}x the compute of UCB on CIFAR-10;"
        " the paper's methods need more compute than full data on CIFAR-100"
    )
    line = frontier_text.bottom_line(paper, tested)
    assert line.startswith(f"**{headline}.**\n\n- CIFAR-10: UCB reaches 92.")
    shorter = paper[(paper["setting"] == "CIFAR-100") & (paper["epochs"] == 16)]
    best = frontier_text.interval(frontier_text.best(shorter))
    assert f" In shorter runs: dynamic random {best} in 16 epochs.\n" in line
    assert line.endswith(f"\n- {frontier_text.growth(paper)}")
    assert "dynamic random 0." in frontier_text.evidence(tested)


def test_the_speed_up_is_told_by_length_and_by_net():
    paper, _ = of_the_paper(*CIFAR_10, *CIFAR_100)
    first, second = (frontier_text.factor(row) for row in paper[paper["method"] == "ucb"].iloc[:2].itertuples())
    by_length = f"Does it grow with the length or the net? UCB on CIFAR-10: {first} and {second} in 16 and 32 epochs"
    assert frontier_text.growth(paper) == f"{by_length}."
    wide, _ = of_the_paper(*CIFAR_10, *(runs.assign(model="speedrun-wide") for runs in CIFAR_10[:2]))
    third = frontier_text.factor(wide.iloc[-1])
    by_net = f"{second} and {third} with the {wide['model'].iloc[0]} net and wide speedrun net in 32 epochs"
    assert frontier_text.growth(wide) == f"{by_length}; {by_net}."
    assert not frontier_text.growth(paper.iloc[:1])


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([(1.95, 1.91, 2.0), (1.0, 0.9, 1.1)], "supported"),
        ([(1.95, 1.7, 2.2), (1.0, 0.9, 1.1)], "supported on a (1.70x or more)"),
        ([(1.05, 0.9, 1.2), (0.8, 0.7, 0.9)], "not shown on a (1.14x could have been seen)"),
        ([(0.95, 0.9, 0.99), (0.8, 0.7, 0.9)], "contradicted on a (0.99x or less)"),
        ([(1.5, np.nan, np.nan)], "not shown on a (no interval)"),
        ([(1.5, 0.0, np.inf)], "not shown on a (no interval)"),
    ],
)
def test_verdicts_on_the_speed_up(intervals, verdict):
    rows = pd.DataFrame(intervals, columns=["speed_up", "low", "high"])
    rows = rows.assign(setting="a", epochs=2, method_label="UCB", bound="")
    assert frontier_text.verdict_from_speed_ups(rows) == verdict
    other = rows.assign(setting="b", low=0.0, high=np.inf)  # of which nothing is known
    unless_alone = rows["low"].gt(0).any()
    assert (frontier_text.verdict_from_speed_ups(pd.concat([rows, other])) == verdict) == unless_alone


def test_without_a_method_under_test_nothing_is_supported():
    _, tested = of_the_paper(curve("full", lengths(np.random.default_rng(0)), dataset="cifar10"), CIFAR_10[2])
    assert tested.empty
    assert frontier_text.verdict_from_speed_ups(tested) == "not shown"


def test_tables_have_a_column_for_each_method():
    runs = frontier.measure_compute(pd.concat([*CIFAR_10, *CIFAR_100], ignore_index=True))
    table = frontier_text.speed_up_table(frontier.speed_up(runs))
    methods = [("UCB", "50%"), ("UCB, annealed", "50%"), ("dynamic random", "50%"), ("RS2", "50%")]
    assert table.columns.tolist() == methods
    assert table.index.tolist() == [(title, epochs) for title in ("CIFAR-10", "CIFAR-100") for epochs in (16, 32)]
    assert table.loc[("CIFAR-100", 16), ("RS2", "50%")] == ""
    times = frontier_text.time_table(frontier.time_to_accuracy(runs, SECONDS))
    assert times.columns.tolist() == [("full data", "0%"), *methods]
    assert times.loc[("CIFAR-10", "85 %"), ("full data", "0%")].endswith(" s)")


def test_the_figure_has_a_panel_for_each_setting_and_an_arrow_as_long_as_the_speed_up():
    runs = frontier.measure_compute(pd.concat([*CIFAR_10, *CIFAR_100], ignore_index=True))
    _, tested = of_the_paper(*CIFAR_10, *CIFAR_100)
    figure = plot_frontier(runs, tested, "message", "setting")
    assert [axes.get_title() for axes in figure.axes] == ["CIFAR-10", "CIFAR-100"]
    first = figure.axes[0]
    assert [line.get_label() for line in first.lines] == ["full data", "UCB", "UCB, annealed", "RS2"]
    arrow, label = first.texts
    row = tested.iloc[0]
    assert arrow.xy == pytest.approx((row["full_epochs"] * row["speed_up"], row["test_accuracy"]))
    assert label.get_text() == f"{row['speed_up']:.2f}x"
    single = plot_frontier(runs[runs["dataset"] == "cifar10"], tested, "message", "setting")
    assert len(single.axes) == 1


def test_the_readme_begins_with_the_speed_up(monkeypatch):
    experiments = {"frontier": CIFAR_10, "frontier_elsewhere": CIFAR_100}  # the largest net was not trained
    monkeypatch.setattr(pages, "best_records", lambda name, _: ("laptop", experiments.get(name, [])))
    made = {"caption": "small net", "experiment": SimpleNamespace(notebook="05_x")}
    monkeypatch.setattr(pages, "load_study", lambda name: SimpleNamespace(runs=pd.concat(experiments[name]), **made))
    first, *_, last = pages.bottom_line()
    assert first.startswith("**At equal accuracy in the longest runs, full data needs ")
    assert last.endswith("together with 95 % confidence; [05](notebooks/05_x.ipynb) has more (small net).")
    experiments.clear()
    assert pages.bottom_line() == []


def test_the_first_figure_is_the_frontier_of_the_largest_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "root", lambda: tmp_path)
    assert pages._first_figure() == []
    for name in ("resnet18/accuracy_vs_pruning_rate", "laptop/frontier"):
        path = tmp_path / "figures" / f"{name}.png"
        path.parent.mkdir(parents=True)
        path.touch()
        (line,) = pages._first_figure()
        assert f"(figures/{name}.png)" in line
