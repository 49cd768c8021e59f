"""How a sweep is made: Plan."""

import time
from dataclasses import dataclass
from pathlib import Path

from dynprune_lib import stopping
from dynprune_lib.experiments.store import Store


@dataclass(frozen=True)
class Plan:
    """How a sweep is made.

    Args:
        store: of the records.
        data_dir: folder of the data sets. Default: see `load_dataset`.
        jobs: number of processes. Default: None, one for each device.
        threads: CPU threads per process. Default: None, torch's choice.
        deadline: in seconds of `time.time()`. Default: None, no limit.
        devices: numbers of the GPUs to use, among those that CUDA_VISIBLE_DEVICES shows. Default: None, all of them, or
            the CPU where there is none.
        grace: seconds that an epoch has to end after SIGTERM or SIGUSR2. Default: 0, SIGTERM interrupts it.
        retry: whether runs that failed in an earlier sweep are tried again. Default: True.
        lines: whether to write a line per finished run, next to the progress bar. Default: True.
    """

    store: Store
    data_dir: str | Path | None = None
    jobs: int | None = None
    threads: int | None = None
    deadline: float | None = None
    devices: tuple[int, ...] | None = None
    grace: float = 0.0
    retry: bool = True
    lines: bool = True

    def ends_within(self, seconds: float) -> bool:
        """Return whether the time is up after some seconds, or a signal has asked to stop."""
        return stopping.is_requested() or (self.deadline is not None and time.time() + seconds > self.deadline)
