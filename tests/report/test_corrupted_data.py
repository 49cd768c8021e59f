import dataclasses

import pytest

from dynprune_lib.experiments.profile import stated_role
from dynprune_lib.experiments.records import Composition, LastEpoch
from dynprune_lib.report import corrupted_data
from tests.helpers import make_record, tiny


def plain(sampler, **fields):
    return make_record(tiny(sampler, 0.0 if sampler == "full" else 0.5, epochs=2, **fields))


def record(sampler, wrong=(), of_each_class=(), class_accuracy=(), **fields):
    composition = Composition(wrong_labels=list(wrong), of_each_class=[list(row) for row in of_each_class])
    last_epoch = LastEpoch(class_accuracy=list(class_accuracy), calibration_error=0.0)
    return dataclasses.replace(plain(sampler, **fields), composition=composition, last_epoch=last_epoch)


def test_the_share_of_wrong_labels_is_of_the_samples_kept_with_a_line_for_each_method_that_prunes():
    made = [record(name, [0, 30], label_noise=noise) for name in ("full", "ucb", "rs2") for noise in (0.2, 0.4)]
    kept = [epoch.samples_kept for epoch in made[2].epochs]
    table = corrupted_data.wrong_labels_kept([*made, plain("full")], stated_role)
    ucb = table[(table["method"] == "ucb") & (table["label_noise"] == 0.2)]
    assert ucb["epoch"].tolist() == [1, 2]
    assert ucb["share"].tolist() == pytest.approx([0, 100 * 30 / kept[1]])
    figure = corrupted_data.plot_wrong_labels_kept(table, "title")
    assert [line.get_label() for line in figure.axes[1].get_lines()] == ["all samples", "UCB", "RS2"]


def test_rare_classes_by_hand():
    full = record("full", of_each_class=[[100, 50, 20, 10]] * 2, class_accuracy=[0.9, 0.8, 0.4, 0.3])
    ucb = record("ucb", of_each_class=[[50, 25, 10, 5], [30, 20, 15, 10]], class_accuracy=[0.8, 0.6, 0.6, 0.3])
    table = corrupted_data.rare_classes([full, ucb, plain("full")], stated_role)
    assert table.index.tolist() == [("full data", 0.0), ("UCB", 0.5)]
    assert table["last 3 classes"].tolist() == pytest.approx([50, 50])
    assert table["first class"].tolist() == pytest.approx([90, 80])
    assert table["kept of the first (%)"].tolist() == pytest.approx([100, 40])
    assert table["kept of the last (%)"].tolist() == pytest.approx([100, 75])
    assert table["fewest of the last"].tolist() == [10, 5]
    assert table["n"].tolist() == [1, 1]
