import dataclasses

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dynprune_lib import figures
from dynprune_lib.runs import RunSpec
from dynprune_lib.samplers import SAMPLERS
from tests.test_runs import make_record

mpl.use("Agg")


def table(values):
    """Runs from {(method, rate): accuracies by seed}."""
    rows = [
        {"method": method, "rate": rate, "seed": seed, "test_accuracy": accuracy, "passes": 1e6 * (1 - rate)}
        for (method, rate), accuracies in values.items()
        for seed, accuracy in enumerate(accuracies)
    ]
    return pd.DataFrame(rows)


RUNS = table(
    {
        ("full", 0.0): [90.0, 91.0, 92.0],
        ("ucb", 0.5): [88.0, 89.5, 91.0],
        ("dynamic-random", 0.5): [87.0, 88.0, 89.0],
        ("ucb", 0.7): [80.0, 81.0, 82.0],
        ("dynamic-random", 0.7): [80.0, 81.5, 81.0],
    }
)


def test_every_sampler_has_a_look_of_its_own():
    assert figures.LOOKS.keys() >= SAMPLERS.keys()
    assert len({(look.colour, look.marker) for look in figures.LOOKS.values()}) == len(figures.LOOKS)


def test_records_to_rows():
    spec = RunSpec(dataset="digits", model="tiny", sampler="ucb", prune_rate=0.5, seed=4)
    record = make_record(spec, epochs=3)
    record.epochs[-1] = dataclasses.replace(record.epochs[-1], test_accuracy=0.625)
    (row,) = figures.tabulate([record]).to_dict("records")
    assert row["method"] == "ucb"
    assert (row["rate"], row["seed"], row["test_accuracy"]) == (0.5, 4, 62.5)
    assert row["passes"] == 4.5
    assert row["seconds"] == 3 * 3 * 1.5


def test_full_data_in_fewer_epochs_is_a_method_of_its_own():
    specs = [RunSpec(dataset="digits", model="tiny", epochs=epochs) for epochs in (16, 11, 8, 5)]
    runs = figures.tabulate(make_record(spec) for spec in specs)
    assert runs["method"].tolist() == ["full", "fewer-epochs", "fewer-epochs", "fewer-epochs"]
    assert runs["rate"].tolist() == [0.0, 0.3, 0.5, 0.7]


@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0], [3.0, 3.0], list(range(9))])
def test_intervals_against_scipy(values):
    half = figures.half_interval(values)
    if np.ptp(values):
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert half == pytest.approx((high - low) / 2)
    else:
        assert half == 0


def test_one_value_has_no_interval():
    assert np.isnan(figures.half_interval([1.0]))
    assert figures.format_mean([1.25], 2) == "1.25"


def test_the_table_of_accuracies():
    cells = figures.accuracy_table(RUNS)
    assert list(cells.index) == ["full data", "UCB", "dynamic random"]
    assert list(cells.columns) == ["none", "50%", "70%"]
    assert cells.loc["full data", "none"] == "91.0 ± 2.5"
    assert cells.loc["full data", "50%"] == ""


def test_differences_are_paired_by_seed():
    differences = figures.paired_differences(RUNS, "ucb", "dynamic-random")
    assert differences.index.tolist() == [0.5, 0.7]
    assert differences["mean"].tolist() == pytest.approx([1.5, 1 / 6])
    assert differences.loc[0.5, "half"] == pytest.approx(figures.half_interval([1.0, 1.5, 2.0]))
    assert differences["n"].tolist() == [3, 3]
    assert figures.describe_differences(differences).startswith("+1.5 ± 1.2 points at 50%, +0.2 ±")


def test_a_single_seed_has_a_difference_but_no_interval():
    differences = figures.paired_differences(RUNS[RUNS["seed"] == 1], "ucb", "dynamic-random")
    assert figures.describe_differences(differences) == "+1.5 points at 50%, -0.5 points at 70%"


def test_a_seed_that_one_method_lacks_is_left_out():
    runs = RUNS[~((RUNS["method"] == "ucb") & (RUNS["seed"] == 0))]
    assert figures.paired_differences(runs, "ucb", "dynamic-random")["n"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("mean", "half", "verdict"),
    [
        ([1.0, 2.0], [0.5, 1.0], "reproduced"),
        ([1.0, 2.0], [1.5, 1.0], "partly reproduced"),
        ([0.3, -2.0], [0.5, 0.1], "not reproduced"),
        ([1.0, 2.0], [0.5, float("nan")], "undecided"),
        ([], [], "undecided"),
    ],
)
def test_verdicts(mean, half, verdict):
    assert figures.judge(pd.DataFrame({"mean": mean, "half": half})) == verdict


def test_the_figure_shows_every_mean_and_interval():
    figure = figures.plot_accuracy_vs_pruning_rate(RUNS, "title")
    (axes,) = figure.axes
    lines = {container.get_label(): container for container in axes.containers}
    assert set(lines) == {"UCB", "dynamic random"}
    points = lines["UCB"].lines[0]
    assert points.get_ydata().tolist() == pytest.approx([89.5, 81.0])
    assert points.get_xdata() == pytest.approx([50, 70], abs=1)
    (bars,) = lines["UCB"].lines[2]
    low, high = bars.get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(figures.half_interval([88.0, 89.5, 91.0]))


def test_a_figure_is_written_with_its_data_and_again_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "root", lambda: tmp_path)
    contents = []
    for _ in range(2):
        figure = figures.plot_accuracy_vs_pruning_rate(RUNS, "title")
        path = figures.save_figure(figure, RUNS, "name", "smoke")
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == ["name.csv", "name.pdf", "name.png"]
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
    assert len(pd.read_csv(path.with_suffix(".csv"))) == len(RUNS)
