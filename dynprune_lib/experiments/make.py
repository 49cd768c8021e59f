"""Make one run: its data, its static scores, its training."""

from dynprune_lib.experiments.corruption import data_of
from dynprune_lib.experiments.data import TensorData
from dynprune_lib.experiments.locks import use_device
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.static_scores import static_scores
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.train import OnEpoch, train


def make_run(
    spec: RunSpec,
    data: TensorData,
    store: Store,
    on_epoch: OnEpoch | None = None,
    jobs: int = 1,
    scores_only: bool = False,
) -> RunRecord | None:
    """Make a run: its static scores if it needs them, then the training. Both resume where they were interrupted.

    On the same device and number of threads, a resumed run ends with the same record as an uninterrupted one.

    Args:
        spec: what to run.
        data: its data set, on the device to train on.
        store: for checkpoints, scores and the record.
        on_epoch: called after every epoch, of scoring models as well, with its record; what it raises interrupts the
            run without losing the epoch. Default: None.
        jobs: number of runs that share the device, for the record. Default: 1.
        scores_only: end with the static scores, and return None. Default: False.

    Raises:
        SpecError: the run does not fit the data; raised before any training.
        Busy: another run uses the device that it needs alone, or another process computes its scores.
        StoreError: a file of the store is damaged, or nothing can be written.
        TrainingDiverged: a loss is not finite; the message says at which step.
    """
    data = data_of(data, spec)
    with use_device(data.device, spec.alone):
        scores = static_scores(spec, data, store, on_epoch, jobs) if spec.is_static_scored else None
        return None if scores_only else train(spec, data, store, on_epoch, jobs, scores)
