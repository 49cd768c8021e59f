"""What pruning does besides the accuracy: to the classes, to the calibration, and to how fresh the scores are."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from dynprune_lib.experiments.profile import Role, stated_role
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.report.tables import name_rows

COLUMNS = (
    "accuracy of the worst class (%)",
    "negative log-likelihood",
    "calibration error (%)",
    "left out again (%)",
    "longest absence (epochs)",
)


def beyond_accuracy(records: Iterable[RunRecord], role: Callable[[RunSpec], Role] = stated_role) -> pd.DataFrame:
    """Return what records say besides the accuracy: one row per method and rate, means over seeds, of the last epoch.

    `left out again` is the share of an epoch's left-out samples that the epoch before left out too; `longest absence`
    the median over samples of the longest run of epochs without it; `n` the number of seeds. Records of version 0.1
    lack most of this and do not count.
    """
    rows = [_row(record, role(record.spec)) for record in records if record.last_epoch and record.left_out]
    table = pd.DataFrame(rows, columns=["method", "rate", *COLUMNS])
    groups = table.groupby(["method", "rate"])
    return name_rows(groups.mean().assign(n=groups.size()))


def _row(record: RunRecord, role: Role) -> tuple[Any, ...]:
    assert record.last_epoch
    assert record.left_out
    worst, error = 100 * min(record.last_epoch.class_accuracy), 100 * record.last_epoch.calibration_error
    again = 100 * pd.Series(record.left_out.overlap, dtype=float).mean()
    return *role, worst, record.epochs[-1].test_loss, error, again, record.left_out.median_absence
