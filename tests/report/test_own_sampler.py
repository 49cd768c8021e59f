"""A sampler that the package does not know works in every table, figure and card."""

import pytest

from dynprune_lib.report import comparisons, equal_compute, figures, tables
from tests.helpers import make_record, tiny

NAME = "tests.own_sampler:LowestLoss"


@pytest.fixture
def records():
    methods = [("full", 0.0, {}), ("rs2", 0.5, {}), (NAME, 0.5, {}), (NAME, 0.5, {"anneal_from": 3})]
    return [
        make_record(tiny(sampler, rate, settings=settings, epochs=4, seed=seed))
        for sampler, rate, settings in methods
        for seed in (0, 1)
    ]


@pytest.fixture
def runs(records):
    runs = tables.tabulate(records)
    accuracy = 80 + 0.1 * runs["seed"] + (5 + 0.1 * runs["seed"]) * (runs["method"] == NAME)
    return runs.assign(passes=1000 * (1 - runs["rate"]), test_accuracy=accuracy)


def test_tables_have_its_class_name_last(runs):
    assert tables.accuracy_table(runs).index.tolist() == ["full data", "RS2", "LowestLoss"]
    assert set(runs[runs["method"] == NAME]["variant"]) == {"", "anneal_from = 3"}
    table = comparisons.differences_of_methods(runs[runs["variant"] == ""], [(NAME, "rs2")])
    (found,) = table[["method", "baseline"]].values.tolist()
    assert found == ["LowestLoss", "RS2"]
    assert comparisons.differences_from_default(runs).index.tolist() == ["LowestLoss, anneal_from = 3"]


def test_figures_have_its_class_name(runs, records):
    (axes,) = figures.plot_accuracy_vs_pruning_rate(runs, "title").axes
    assert [container.get_label() for container in axes.containers] == ["RS2", "LowestLoss"]
    curves = tables.learning_curves(records, 0.5)
    (axes,) = figures.plot_learning_curves(curves, "title").axes
    assert [line.get_label() for line in axes.lines] == ["full data", "RS2", "LowestLoss"]


def test_the_equal_compute_comparison_has_it(runs):
    differences = equal_compute.differences_from_baseline(equal_compute.label_methods(runs))
    assert differences["method_label"].tolist() == ["LowestLoss", "LowestLoss, annealed"]
    figure = figures.plot_ranking(differences, equal_compute.BASELINE, "title")
    assert {label.get_text() for label in figure.axes[0].get_yticklabels()} == {"LowestLoss", "LowestLoss, annealed"}
