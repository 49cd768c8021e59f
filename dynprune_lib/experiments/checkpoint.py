"""When to save a checkpoint."""

import time
from collections.abc import Callable


class ThrottledCheckpoint:
    """Callable that saves, unless saving has taken more than a share of the time so far.

    Args:
        save: saves a checkpoint.
        share: largest share of the time. Default: 0.05.
    """

    def __init__(self, save: Callable[[], None], share: float = 0.05) -> None:
        self.save, self.share = save, share
        self.begun, self.spent = time.perf_counter(), 0.0

    def __call__(self) -> None:
        if self.spent <= self.share * (time.perf_counter() - self.begun):
            self.now()

    def now(self) -> None:
        """Save in any case."""
        started = time.perf_counter()
        self.save()
        self.spent += time.perf_counter() - started
