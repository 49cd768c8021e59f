import pytest

from dynprune_lib.report.timing import epoch_seconds, timing_table
from tests.report.tables import timed


def test_seconds_of_an_epoch_need_runs_that_had_one_device_to_themselves():
    found = epoch_seconds([timed(), timed(seed=1), timed(sampler="ucb", prune_rate=0.5)])
    assert found.to_dict() == {("full", 0.0): 2 + 3, ("ucb", 0.5): 2 + 3}  # selection and scoring take 3
    for other in (timed(alone=False), timed(device="another")):
        with pytest.raises(ValueError, match="each run must be alone on the same device"):
            epoch_seconds([timed(), other])


def test_ratios_compare_runs_of_one_repetition():
    # selection and scoring take 3 s of each epoch; the second repetition is twice as slow for both
    pruned = {"sampler": "ucb", "prune_rate": 0.5}
    records = [timed(), timed(99, 7, 3, 7, seed=1), timed(9, 0, 0, 0, **pruned), timed(9, 2, 2, 2, seed=1, **pruned)]
    table = timing_table(records)
    assert table.index.tolist() == [("full data", 0.0), ("UCB", 0.5)]
    assert table["seconds"].tolist() == ["8.0 (4.0 to 10.0)", "4.0 (3.0 to 5.0)"]
    assert table["relative to full data"].tolist() == ["1.000", "0.550 (0.500 to 0.600)"]
    assert table["epochs timed"].tolist() == [6, 6]
    table = timing_table([timed(sampler="rs2", prune_rate=0.5), timed(9, 17, 17, 17, **pruned)], ("rs2", 0.5))
    assert table["relative to RS2"].to_dict() == {("UCB", 0.5): "4.000", ("RS2", 0.5): "1.000"}
