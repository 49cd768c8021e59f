"""Exploring records: which runs are there, what is chosen, and what is shown, in figures and by the widget."""

import dataclasses

import numpy as np
import pytest

from dynprune_lib.errors import SpecError, StoreError
from dynprune_lib.experiments.store import Store
from dynprune_lib.report import explore
from tests.helpers import make_record, tiny

SAMPLES = 1437  # digits


def save(folder, *method, counts=None, accuracy=0.9, **fields):
    """Save a record with the passes of its prune rate and, if given, the selection counts."""
    spec = tiny(*method, **{"epochs": 10} | fields)
    passes = round(1000 * (1 - spec.prune_rate))
    made, store = make_record(spec), Store(folder / "smoke")
    changed = {"backward_passes": passes, "forward_passes": passes, "test_accuracy": accuracy}
    epochs = [dataclasses.replace(epoch, **changed) for epoch in made.epochs]
    store.save(dataclasses.replace(made, epochs=epochs), {"selections": np.zeros(1) if counts is None else counts})
    if counts is None:
        (store.folder / f"{spec.name}.npz").unlink()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    counts = np.full(SAMPLES, 5, np.uint8)
    counts[3:8] = 9  # always; no sample is never selected
    for seed in (0, 1):
        save(folder, seed=seed, accuracy=0.94)
        save(folder, seed=seed, accuracy=0.90, epochs=5)
        save(folder, "ucb", 0.5, counts=counts, seed=seed, accuracy=0.93 + seed / 100)
    save(folder, "ucb", 0.5, counts=counts, settings={"anneal_from": 9})
    save(folder, "rs2", 0.5, epochs=5)
    for special in ("label_noise", 0.2), ("imbalance", 5.0), ("trace", 100), ("validation", 100), ("init_seed", 3):
        save(folder, "ucb", 0.3, **dict([special]))
    return explore.runs(folder)


def test_runs_are_those_on_data_as_they_are(runs, tmp_path):
    assert len(runs) == 8
    assert set(runs["setting"]) == {"digits (8x8), tiny net"}
    kinds = runs.groupby("kind")["rate"].unique().map(list).to_dict()
    assert kinds == {"RS2": [0.5], "UCB": [0.5], "UCB, annealed": [0.5], "full data": [0.0]}
    assert runs["has_counts"].sum() == 3
    with pytest.raises(StoreError, match=f"no records in {tmp_path}"):
        explore.runs(tmp_path)


def test_accuracy_is_a_mean_over_seeds_at_the_compute_of_each_length(runs):
    (axes,) = explore.plot(runs, kind=["full data", "UCB", "RS2"]).axes
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    lines = {line.get_label(): line.get_xydata().round(2).tolist() for line in named}
    assert lines == {"full data, fitted": [[5, 90], [10, 94]], "UCB, 50%": [[5, 93.5]], "RS2, 50%": [[2.5, 90]]}
    assert axes.get_title() == "digits (8x8), tiny net"


def test_counts_are_shares_of_the_samples_with_a_line_for_each_kind(runs):
    (axes,) = explore.plot_counts(runs, epochs=10).axes
    assert [line.get_label() for line in axes.lines] == ["UCB", "UCB, annealed"]
    assert axes.lines[0].get_ydata()[5] == pytest.approx(100 * (SAMPLES - 5) / SAMPLES)


def test_images_of_a_group_have_their_classes(runs):
    figure = explore.plot_group(runs, "always", kind="UCB")
    labels = explore.load_dataset("digits").train.labels
    assert [axes.texts[0].get_text() for axes in figure.axes] == [str(int(label)) for label in labels[3:8]]
    assert figure.get_suptitle() == "0% of the samples are always samples for every seed"


@pytest.mark.parametrize(
    ("plot", "chosen", "message"),
    [
        (explore.plot, {"colour": "blue"}, "unknown column 'colour': there are has_counts, dataset, method"),
        (explore.plot, {"kind": "UCB", "epochs": 200}, "no chosen run has epochs 200: there are 10"),
        (explore.plot_counts, {}, r"several values of epochs \(5, 10\): choose one"),
        (explore.plot_counts, {"kind": "RS2"}, "no chosen run has selection counts"),
        (explore.plot_group, {"group": "often"}, "unknown group 'often': there are never, sometimes, always"),
        (explore.plot_group, {"group": "always", "epochs": 10}, "several kinds .UCB; UCB, annealed.: choose one"),
        (explore.plot_group, {"group": "always", "kind": "UCB, annealed"}, "has no groups: they need a new selection"),
        (explore.plot_group, {"group": "never", "kind": "UCB"}, "UCB has no images of never samples for every seed"),
    ],
)
def test_what_cannot_be_shown_says_why(runs, plot, chosen, message):
    with pytest.raises(SpecError, match=message):
        plot(runs, **chosen)


@pytest.mark.slow
def test_menus_show_three_plots_or_why_one_is_not_there(runs):
    setting, below = explore.explorer(runs).children
    *menus, plots = below.children
    names = [menu.description for menu in (setting, *menus)]
    assert names == ["data set, net", "methods", "skipped", "epochs", "group"]
    assert [menu.value for menu in menus] == [("UCB",), (0.5,), 10, "always"]
    assert menus[0].options == ("RS2", "UCB", "UCB, annealed")
    before = [image.value for image in plots.children]
    menus[0].value = ("UCB", "RS2")
    assert [image.value == old for image, old in zip(plots.children, before, strict=True)] == [False, True, True]
    menus[2].value = 5
    assert [getattr(each, "format", None) for each in plots.children] == ["png", None, None]
    why = {each.value for each in plots.children[1:]}
    assert why == {"no chosen run has selection counts: has_counts=True chooses those that do"}
