"""Make one run: its data, its static scores, its training."""

from collections.abc import Callable

from dynprune_lib.errors import StoreError
from dynprune_lib.experiments.corruption import data_of
from dynprune_lib.experiments.data import FOLDER, TensorData
from dynprune_lib.experiments.locks import use_device
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.static_scores import static_scores
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.train import OnEpoch, train


def make_run(
    spec: RunSpec, data: TensorData, store: Store, on_epoch: OnEpoch | None = None, jobs: int = 1
) -> RunRecord:
    """Make a run: its static scores if it needs them, then the training. Both resume where they were interrupted.

    Args:
        spec: what to run.
        data: its data set, on the device to train on.
        store: for checkpoints, scores and the record.
        on_epoch: called after every epoch, of scoring models as well. Default: None.
        jobs: number of runs that share the device, for the record. Default: 1.

    Raises:
        SpecError: the run does not fit the data; raised before any training.
        Busy: another run uses the device that it needs alone, or another process computes its scores.
        StoreError: a file of the store is damaged, or nothing can be written.
        TrainingDiverged: a loss is not finite.
    """
    data = data_of(data, spec)
    with use_device(data.device, spec.alone):
        scores = static_scores(spec, data, store, on_epoch, jobs) if spec.is_static_scored else None
        return train(spec, data, store, on_epoch, jobs, scores)


def make_scores(spec: RunSpec, data: TensorData, store: Store, on_epoch: OnEpoch | None = None, jobs: int = 1) -> None:
    """Make the scores that a run needs, see `make_run`."""
    data = data_of(data, spec)
    with use_device(data.device, spec.alone):
        static_scores(spec, data, store, on_epoch, jobs)


def check_images(record: RunRecord, load: Callable[[], TensorData]) -> None:
    """Raise StoreError if the images of a recorded image folder have changed."""
    if record.spec.dataset.startswith(FOLDER) and record.environment["data_md5"] != (data := load()).md5:
        raise StoreError(
            f"the images of {data.name} have changed since the record {record.spec.name}: remove it and make it again,"
            " or use another folder of results"
        )
