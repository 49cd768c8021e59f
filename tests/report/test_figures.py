import dataclasses

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dynprune_lib.report import figures, tables
from dynprune_lib.report.canvas import one_axes
from dynprune_lib.report.style import style
from tests.report.tables import RUNS, table

mpl.use("Agg")


def test_the_figure_shows_every_mean_and_interval():
    figure = figures.plot_accuracy_vs_pruning_rate(RUNS, "title")
    (axes,) = figure.axes
    lines = {container.get_label(): container for container in axes.containers}
    assert set(lines) == {"UCB", "dynamic random"}
    points = lines["UCB"].lines[0]
    assert points.get_ydata().tolist() == pytest.approx([89.5, 81.0])
    assert points.get_xdata() == pytest.approx([50, 70])  # measured: never moved to keep methods apart
    (bars,) = lines["UCB"].lines[2]
    low, high = bars.get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(tables.half_interval([88.0, 89.5, 91.0]))


def test_means_far_below_full_data_are_written_at_the_edge():
    runs = pd.concat([RUNS, table({("el2n", 0.5): [50.0, 52.0, 54.0], ("forget", 0.5): [20.0, 20.0, 20.0]})])
    (axes,) = figures.plot_accuracy_vs_pruning_rate(runs, "title").axes
    assert [text.get_text() for text in axes.texts] == ["forget scores 20 ▾", "EL2N 52 ▾"]
    assert axes.get_ylim()[0] == 91 - figures.FAR
    (axes,) = figures.plot_accuracy_vs_pruning_rate(RUNS, "title").axes
    assert not axes.texts
    assert axes.get_ylim()[0] > 75


def test_learning_curves_are_means_over_the_seeds():
    curves = pd.DataFrame(
        {"method": "ucb", "seed": [0, 0, 1, 1], "epoch": [1, 2, 1, 2], "test_accuracy": [50, 60, 54, 70]}
        | {"passes": [10, 20, 10, 20]}
    )
    (axes,) = figures.plot_learning_curves(curves, "title").axes
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[10, 52], [20, 65]]


def test_costs_are_stacked():
    costs = pd.DataFrame({"method": ["el2n"], "rate": [0.5], "training": [0.5], "total": [1.75]})
    (axes,) = figures.plot_costs(costs, "title").axes
    training, scoring = axes.patches
    assert (training.get_x(), training.get_width()) == (0, 0.5)
    assert (scoring.get_x(), scoring.get_width()) == (0.5, 1.25)
    assert axes.get_yticklabels()[0].get_text() == "EL2N, 50%"


def test_counts_are_shown_in_percent():
    counts = {"net": np.array([[0, 1, 1, 2], [0, 0, 2, 2]])}
    (axes,) = figures.plot_selection_counts(counts, 2, "title").axes
    assert axes.lines[0].get_ydata().tolist() == [37.5, 25, 37.5]


def test_a_method_has_its_colour_among_selection_counts():
    counts = {name: np.array([0, 1]) for name in ("UCB", "UCB, re-scored", "another")}
    (axes,) = figures.plot_selection_counts(counts, 2, "title").axes
    colours = [line.get_color() for line in axes.lines]
    assert colours[0] == style("ucb").colour
    assert len(set(colours)) == 3


def test_kept_samples_are_sorted_by_how_often_they_are_kept():
    kept = np.array([[True, False, True], [False, False, True]])
    (axes,) = figures.plot_kept_samples(kept, "title").axes
    assert axes.images[0].get_array().tolist() == [[1, 1], [1, 0], [0, 0]]  # rows are samples, columns epochs


def test_the_first_line_of_a_title_is_the_message_and_the_others_are_below():
    long = "a message of many words " * 5
    figure = figures.plot_selection_counts({"net": np.array([0, 1])}, 1, f"{long}\nsetting")
    assert figure.get_suptitle().count("\n") > 0
    assert figure.get_suptitle().split() == long.split()
    assert figure.get_supxlabel() == "setting"


def test_nothing_is_cut_off():
    differences = pd.DataFrame({"mean": [1.0, -0.3], "ci95": 0.5}, index=["a long name of a method, annealed", "b"])
    figure = figures.plot_differences(differences, "a baseline with a long name", "a long message " * 8 + "\nsetting")
    figure.draw_without_rendering()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert page.contains(drawn.x0, drawn.y0)
    assert page.contains(drawn.x1, drawn.y1)


def test_the_background_is_white_whatever_the_page(tmp_path):
    figure = figures.plot_selection_counts({"net": np.array([0, 1])}, 1, "title")
    figure.savefig(tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_a_ranking_has_a_panel_for_each_data_set_in_their_order():
    differences = pd.DataFrame({"dataset": ["text", "table"], "method_label": "UCB", "mean": [1.0, -2.0], "ci95": 0.5})
    figure = figures.plot_ranking(differences, "full data", "title", panel="dataset")
    assert [axes.get_title() for axes in figure.axes] == ["text", "table"]
    assert [axes.lines[0].get_xdata().tolist() for axes in figure.axes] == [[1], [-2]]
    figure = figures.plot_ranking(differences.assign(saved=[0.5, 0.3]), "full data", "title")
    assert [axes.get_title() for axes in figure.axes] == ["30% saved", "50% saved"]


def test_differences_are_plotted_in_rows():
    differences = pd.DataFrame({"mean": [1.0, -2.0], "ci95": [0.5, float("nan")]}, index=["a", "b"])
    (axes,) = figures.plot_differences(differences, "baseline", "title").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [float(container.lines[0].get_xdata()[0]) for container in axes.containers] == [1, -2]


def test_a_difference_far_below_the_others_is_written_and_does_not_squeeze_them():
    differences = pd.DataFrame({"mean": [1.0, -30.0, 0.5], "ci95": [0.5, 4.0, 0.5]}, index=["a", "b", "c"])
    (axes,) = figures.plot_differences(differences, "baseline", "title").axes
    assert [text.get_text().strip() for text in axes.texts] == ["◂ -30.0"]
    left, right = axes.get_xlim()
    assert -1 < left < 0 < 1.5 < right < 2
    assert [float(container.lines[0].get_xdata()[0]) for container in axes.containers] == [1, 0.5]


def test_images_of_any_kind_are_shown_in_rows(digits):
    examples = {"one": range(3), "two": np.array([7, 2])}
    figure = figures.plot_examples(digits, examples, "title")
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 1, 1, 0]
    shown = [digits.classes[digits.train.labels[place]] for place in (0, 1, 2, 7, 2)]
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == shown
    inputs = digits.train.images.expand(-1, -1, -1, 3)
    colour = dataclasses.replace(digits, train=dataclasses.replace(digits.train, inputs=inputs))
    figures.plot_examples(colour, {"colour": [0, 1]}, "title")


def test_correlations_are_written_into_their_squares():
    figure = figures.plot_correlations(np.array([[1.0, 0.25], [0.25, 1.0]]), ["1", "2"], "epoch", "title")
    assert figure.axes[0].get_xlabel() == figure.axes[0].get_ylabel() == "epoch"
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "0.25", "0.25", "1.00"]


def test_lines_of_no_method_are_drawn_where_methods_have_all_their_colours():
    names = [style(name).label for name in ("ucb", "forget", "static-random", "el2n")]
    counts = {name: np.array([0, 1, 2]) for name in [*names, "UCB, re-scored"]}
    (axes,) = figures.plot_selection_counts(counts, 2, "title").axes
    assert [line.get_label() for line in axes.get_lines()] == list(counts)


@pytest.mark.parametrize("label", ["", "difference from full data (percentage points)"])
def test_long_texts_stay_inside_the_figure(label):
    setting = "CIFAR-10, CIFAR-100, speedrun net and small net, 6 to 40 epochs, NVIDIA H200, n = 5; CPU, n = 3 to 10"
    message = "UCB minus full data of the same length (CIFAR-10, speedrun net), in points: -2.1 in 6 epochs"
    figure, _ = one_axes(f"{message}\n{setting}", label=label)
    figure.canvas.draw()
    edges = [edge for text in figure.texts for edge in text.get_window_extent().intervalx]
    assert len(edges) == 4
    assert 0 <= min(edges) < max(edges) <= figure.bbox.width
