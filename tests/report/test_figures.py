import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from PIL import Image

from dynprune_lib.report import figures
from dynprune_lib.report.canvas import one_axes, use_style
from dynprune_lib.report.selections import histogram
from dynprune_lib.report.style import style


def axes_of(figure):
    (axes,) = figure.axes
    return axes


def test_counts_are_in_percent_and_a_method_has_its_colour():
    names = [style(name).label for name in ("ucb", "forget", "static-random", "el2n")]
    counts = {name: np.array([[0, 1, 1, 2], [0, 0, 2, 2]]) for name in [*names, "UCB, re-scored", "another"]}
    table = histogram(counts, 2)
    lines = axes_of(figures.plot_selection_counts(table, "title")).get_lines()
    assert [line.get_label() for line in lines] == list(counts)
    assert all(line.get_ydata().tolist() == [37.5, 25, 37.5] for line in lines)
    assert lines[0].get_color() == style("ucb").colour
    few = axes_of(figures.plot_selection_counts(table[["epochs", "UCB", "another"]], "title"))
    assert len({line.get_color() for line in few.lines}) == 2


def test_kept_samples_are_sorted_by_how_often_they_are_kept():
    kept = np.array([[True, False, True], [False, False, True]])
    image = axes_of(figures.plot_kept_samples(kept, "title")).images[0]
    assert image.get_array().tolist() == [[1, 1], [1, 0], [0, 0]]  # rows are samples, columns epochs


def test_nothing_is_cut_off_and_the_background_is_white_whatever_the_page(tmp_path):
    differences = pd.DataFrame({"mean": [1.0, -0.3], "ci95": 0.5}, index=["a long name of a method, annealed", "b"])
    figure = figures.plot_differences(differences, "a baseline with a long name", "a long message " * 8 + "\nsetting")
    figure.draw_without_rendering()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert page.contains(drawn.x0, drawn.y0)
    assert page.contains(drawn.x1, drawn.y1)
    figure.savefig(tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_settings_of_the_user_are_not_those_of_a_figure():
    plt.rcParams |= {"text.usetex": True, "savefig.dpi": 20, "axes.prop_cycle": plt.cycler(color=["red"])}
    before = dict(plt.rcParamsDefault)
    use_style()
    assert [plt.rcParams[name] for name in ("text.usetex", "savefig.dpi")] == [False, before["savefig.dpi"]]
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"] != ["red"]


def test_the_first_line_of_a_title_is_the_message_the_others_are_below_and_both_stay_inside_the_figure():
    setting = "CIFAR-10, CIFAR-100, speedrun net and small net, 6 to 40 epochs, NVIDIA H200, n = 5; CPU, n = 3 to 10"
    message = "UCB minus full data of the same length (CIFAR-10, speedrun net), in points: -2.1 in 6 epochs"
    for label in ("", "difference from full data (percentage points)"):
        figure, _ = one_axes(f"{message}\n{setting}", label=label)
        assert [" ".join(text.get_text().split()) for text in figure.texts] == [message, f"{label} {setting}".strip()]
        figure.canvas.draw()
        edges = [edge for text in figure.texts for edge in text.get_window_extent().intervalx]
        assert 0 <= min(edges) < max(edges) <= figure.bbox.width


def test_a_difference_far_below_the_others_is_written_and_does_not_squeeze_them():
    differences = pd.DataFrame({"mean": [1.0, -30.0, 0.5], "ci95": [0.5, 4.0, np.nan]}, index=["a", "b", "c"])
    axes = axes_of(figures.plot_differences(differences, "baseline", "title"))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text().strip() for text in axes.texts] == ["◂ -30.0"]
    left, right = axes.get_xlim()
    assert -1 < left < 0 < 1.5 < right < 2
    assert [float(container.lines[0].get_xdata()[0]) for container in axes.containers] == [1, 0.5]
