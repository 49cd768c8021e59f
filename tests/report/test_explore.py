"""Exploring records: which runs are there, what is chosen, and what is shown, in figures and by the widget."""

import dataclasses
import sys

import matplotlib as mpl
import numpy as np
import pytest

from dynprune_lib.errors import NotebookError, SpecError, StoreError
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.selection_groups import GROUPS
from dynprune_lib.experiments.store import Store
from dynprune_lib.report import explore, explore_widget
from tests.helpers import make_record

mpl.use("Agg")

SAMPLES = 1437  # digits
ANNEALED = {"anneal_from": 9}


def save(folder, counts=None, accuracy=0.9, **spec):
    """Save a record with the passes of its prune rate and, if given, the selection counts."""
    spec = RunSpec(**{"dataset": "digits", "model": "tiny", "epochs": 10} | spec)
    passes = round(1000 * (1 - spec.prune_rate))
    made = make_record(spec)
    changed = {"backward_passes": passes, "forward_passes": passes, "test_accuracy": accuracy}
    epochs = [dataclasses.replace(epoch, **changed) for epoch in made.epochs]
    store = Store(folder / "smoke")
    store.save(dataclasses.replace(made, epochs=epochs), {"selections": np.zeros(1) if counts is None else counts})
    if counts is None:
        (store.folder / f"{spec.name}.npz").unlink()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    counts = np.full(SAMPLES, 5, np.uint8)
    counts[:3], counts[3:8] = 1, 9  # never and always
    for seed in (0, 1):
        save(folder, sampler="full", seed=seed, accuracy=0.94)
        save(folder, sampler="full", seed=seed, accuracy=0.90, epochs=5)
        save(folder, counts, sampler="ucb", prune_rate=0.5, seed=seed, accuracy=0.93 + seed / 100)
    save(folder, counts, sampler="ucb", prune_rate=0.5, settings=ANNEALED)
    save(folder, sampler="ucb", prune_rate=0.5, settings={"c": 0.0})
    save(folder, sampler="rs2", prune_rate=0.5, epochs=5)
    save(folder, sampler="rs2", prune_rate=0.5, label_noise=0.2)
    save(folder, sampler="ucb", trace=100)
    save(folder, sampler="full", validation=100)
    save(folder, sampler="full", init_seed=3)
    return folder


@pytest.fixture
def runs(results):
    return explore.runs(results)


def test_runs_are_those_on_data_as_they_are(runs):
    assert len(runs) == 9
    assert runs.index.get_level_values("profile").unique().tolist() == ["smoke"]
    assert set(runs["setting"]) == {"digits (8x8), tiny net"}


def test_a_run_has_its_kind_and_the_share_that_it_skips(runs):
    kinds = runs.groupby("kind")["rate"].unique().map(list).to_dict()
    assert kinds == {"RS2": [0.5], "UCB": [0.5], "UCB, annealed": [0.5], "UCB, c = 0.0": [0.5], "full data": [0.0]}
    assert runs["has_counts"].sum() == 3


def test_a_folder_without_records_is_an_error(tmp_path):
    with pytest.raises(StoreError, match=f"no records in {tmp_path}"):
        explore.runs(tmp_path)


def test_runs_are_chosen_by_values_of_any_column(runs):
    chosen = explore.choose(runs, method=["full", "ucb"], rate=[0, 0.5], epochs=10, seed=0)
    assert sorted(chosen["kind"]) == ["UCB", "UCB, annealed", "UCB, c = 0.0", "full data"]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"colour": "blue"}, "unknown column 'colour': there are has_counts, dataset, method"),
        ({"kind": "UCB", "epochs": 200}, "no chosen run has epochs 200: there are 10"),
    ],
)
def test_a_choice_without_runs_says_what_there_is(runs, chosen, message):
    with pytest.raises(SpecError, match=message):
        explore.choose(runs, **chosen)


def test_accuracy_is_a_mean_over_seeds_at_the_compute_of_each_length(runs):
    figure = explore.plot_accuracy(explore.choose(runs, kind=["full data", "UCB", "RS2"]))
    (axes,) = figure.axes
    lines = {line.get_label(): line.get_xydata().round(2).tolist() for line in axes.lines}
    assert lines == {"full data": [[5, 90], [10, 94]], "UCB, 50%": [[5, 93.5]], "RS2, 50%": [[2.5, 90]]}
    assert axes.get_title() == "digits (8x8), tiny net"


def test_selection_counts_have_a_row_for_each_seed(runs, results):
    counts = explore.selection_counts(explore.choose(runs, epochs=10), results)
    assert {name: each.shape for name, each in counts.items()} == {"UCB": (2, SAMPLES), "UCB, annealed": (1, SAMPLES)}
    figure = explore.plot_counts(explore.choose(runs, kind="UCB"), results)
    assert figure.axes[0].lines[0].get_ydata()[5] == pytest.approx(100 * (SAMPLES - 8) / SAMPLES)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, r"several values of epochs \(5, 10\): choose one"),
        ({"kind": "RS2"}, "no chosen run has selection counts"),
    ],
)
def test_counts_that_cannot_be_shown_are_an_error(runs, results, chosen, message):
    with pytest.raises(SpecError, match=message):
        explore.plot_counts(explore.choose(runs, **chosen), results)


def test_images_of_a_group_have_their_classes(runs, results):
    figure = explore.plot_group(explore.choose(runs, kind="UCB"), "always", results)
    shown = [axes.texts[0].get_text() for axes in figure.axes]
    labels = explore.load_dataset("digits").train.labels
    assert shown == [str(int(label)) for label in labels[3:8]]
    assert figure.get_suptitle() == "0% of the samples are always samples for every seed"


@pytest.mark.parametrize(
    ("chosen", "group", "message"),
    [
        ({"kind": "UCB"}, "often", "unknown group 'often': there are never, sometimes, always"),
        ({"epochs": 10}, "always", "several kinds .UCB; UCB, annealed.: choose one"),
        ({"kind": "UCB, annealed"}, "always", "has no groups: they need a new selection in every epoch"),
    ],
)
def test_groups_that_cannot_be_shown_are_an_error(runs, results, chosen, group, message):
    with pytest.raises(SpecError, match=message):
        explore.plot_group(explore.choose(runs, **chosen), group, results)


def test_the_menus_offer_what_there_is_and_begin_with_runs_that_have_everything(runs):
    offered = explore_widget.offered(runs, "digits (8x8), tiny net")
    assert offered == {
        "kinds": (["UCB", "UCB, annealed", "UCB, c = 0.0", "RS2"], ("UCB",)),
        "rate": ([("all", "all"), ("50%", 0.5)], 0.5),
        "epochs": (["all", 5, 10], 10),
    }


def test_a_choice_shows_three_figures_or_why_one_is_not_there(runs, results):
    choice = {"setting": "digits (8x8), tiny net", "kinds": ("UCB",), "rate": 0.5, "group": "always"}
    assert [type(each).__name__ for each in explore_widget.shown(runs, **choice, epochs=10, results=results)] == [
        "Figure"
    ] * 3
    _, *reasons = explore_widget.shown(runs, **choice, epochs="all", results=results)
    assert reasons == ["the chosen runs have several values of epochs (5, 10): choose one"] * 2


def test_the_widget_has_a_menu_for_each_choice(results):
    pytest.importorskip("ipywidgets", reason="the extra explore is not installed")
    *menus, answers = explore_widget.explorer(results).children
    assert [menu.description for menu in menus] == ["data set, net", "methods", "skipped", "epochs", "group"]
    assert [menu.value for menu in menus] == ["digits (8x8), tiny net", ("UCB",), 0.5, 10, "always"]
    assert menus[-1].options == tuple(GROUPS)
    assert [type(each).__name__ for each in answers.children] == ["Image"] * 3
    menus[3].value = "all"
    first, *reasons = answers.children
    assert type(first).__name__ == "Image"
    assert {each.value for each in reasons} == {"the chosen runs have several values of epochs (5, 10): choose one"}


def test_without_ipywidgets_the_widget_says_how_to_get_it(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(NotebookError, match=r"ipywidgets is not installed: run pip install -e '.\[explore\]'"):
        explore_widget.explorer(results)
