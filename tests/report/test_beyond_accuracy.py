import dataclasses

import pytest

from dynprune_lib.experiments.profile import stated_role
from dynprune_lib.experiments.records import Composition, LastEpoch, LeftOut
from dynprune_lib.report.beyond_accuracy import COLUMNS, beyond_accuracy, rare_classes, wrong_labels_kept
from tests.helpers import make_record, tiny


def described(worst, overlap, seed=0, **settings):
    left_out = LeftOut(overlap=overlap, wanted=[None] * 4, median_absence=2, longest_absence=3)
    last = LastEpoch(class_accuracy=[0.9, worst, 1.0], calibration_error=0.02)
    record = make_record(tiny(epochs=4, seed=seed, **settings))
    return dataclasses.replace(record, last_epoch=last, left_out=left_out)


def corrupted(sampler, wrong=(), of_each_class=(), class_accuracy=(), **fields):
    composition = Composition(wrong_labels=list(wrong), of_each_class=[list(row) for row in of_each_class])
    last_epoch = LastEpoch(class_accuracy=list(class_accuracy), calibration_error=0.0)
    record = make_record(tiny(sampler, 0.0 if sampler == "full" else 0.5, epochs=2, **fields))
    return dataclasses.replace(record, composition=composition, last_epoch=last_epoch)


def test_means_over_the_seeds_of_a_method():
    ucb = {"sampler": "ucb", "prune_rate": 0.5}
    old = make_record(tiny("epsilon-greedy", 0.5))  # as those of version 0.1: it makes no row
    records = [
        described(0.5, [None, 0.2, 0.6, None], **ucb),
        described(0.7, [None, 0.8, 0.8, None], seed=1, **ucb),
        described(0.8, [None] * 4),
        old,
    ]
    table = beyond_accuracy(records, stated_role)
    assert table.index.tolist() == [("full data", 0.0), ("UCB", 0.5)]
    worst, loss, calibration, again, absence, n = table.loc[("UCB", 0.5), [*COLUMNS, "n"]]
    assert (worst, calibration, again) == (pytest.approx(60), pytest.approx(2), pytest.approx(60))
    assert (loss, absence, n) == (records[0].epochs[-1].test_loss, 2, 2)
    assert table.loc[("full data", 0.0), [COLUMNS[3]]].isna().all()
    assert beyond_accuracy([old], stated_role).empty


def test_the_share_of_wrong_labels_is_of_the_samples_kept():
    made = corrupted("ucb", [0, 30], label_noise=0.2)
    table = wrong_labels_kept([made, make_record(tiny())], stated_role)
    assert table["epoch"].tolist() == [1, 2]
    assert table["share"].tolist() == pytest.approx([0, 100 * 30 / made.epochs[1].samples_kept])


def test_rare_classes_by_hand():
    full = corrupted("full", of_each_class=[[100, 50, 20, 10]] * 2, class_accuracy=[0.9, 0.8, 0.4, 0.3])
    ucb = corrupted("ucb", of_each_class=[[50, 25, 10, 5], [30, 20, 15, 10]], class_accuracy=[0.8, 0.6, 0.6, 0.3])
    table = rare_classes([full, ucb, make_record(tiny())], stated_role)
    assert table.index.tolist() == [("full data", 0.0), ("UCB", 0.5)]
    assert table["last 3 classes"].tolist() == pytest.approx([50, 50])
    assert table["first class"].tolist() == pytest.approx([90, 80])
    assert table["kept of the first (%)"].tolist() == pytest.approx([100, 40])
    assert table["kept of the last (%)"].tolist() == pytest.approx([100, 75])
    assert table["fewest of the last"].tolist() == [10, 5]
    assert table["n"].tolist() == [1, 1]
