import dataclasses

import pytest

from dynprune_lib.experiments.records import LastEpoch, LeftOut
from dynprune_lib.report.beyond_accuracy import COLUMNS, beyond_accuracy
from tests.helpers import make_record, tiny


def described(worst, overlap, seed=0, **settings):
    left_out = LeftOut(overlap=overlap, wanted=[None] * 4, median_absence=2, longest_absence=3)
    last = LastEpoch(class_accuracy=[0.9, worst, 1.0], calibration_error=0.02)
    record = make_record(tiny(epochs=4, seed=seed, **settings))
    return dataclasses.replace(record, last_epoch=last, left_out=left_out)


def test_means_over_the_seeds_of_a_method():
    ucb = {"sampler": "ucb", "prune_rate": 0.5}
    old = make_record(tiny("epsilon-greedy", 0.5))  # as those of version 0.1: it makes no row
    records = [
        described(0.5, [None, 0.2, 0.6, None], **ucb),
        described(0.7, [None, 0.8, 0.8, None], seed=1, **ucb),
        described(0.8, [None] * 4),
        old,
    ]
    table = beyond_accuracy(records)
    assert table.index.tolist() == [("full data", 0.0), ("UCB", 0.5)]
    worst, loss, calibration, again, absence, n = table.loc[("UCB", 0.5), [*COLUMNS, "n"]]
    assert (worst, calibration, again) == (pytest.approx(60), pytest.approx(2), pytest.approx(60))
    assert (loss, absence, n) == (records[0].epochs[-1].test_loss, 2, 2)
    assert table.loc[("full data", 0.0), [COLUMNS[3]]].isna().all()
    assert beyond_accuracy([old]).empty
