"""The optimizer steps of a run whose epochs differ in length."""

import math
from dataclasses import dataclass

from dynprune_lib.samplers import PruningSampler


@dataclass(frozen=True)
class RunSteps:
    """The steps of a run with a pruning sampler, in this process.

    Args:
        sampler: the sampler, whose settings determine the length of every epoch.
        batch_size: number of samples in a batch of this process.
        drop_last: whether an incomplete batch at the end of an epoch is dropped.
        accumulate: number of batches in an optimizer step. Default: 1.
        limit: what Lightning calls `limit_train_batches`: a number of batches, or a fraction if it is a float.
            Default: 1.0.

    Example:
        >>> from dynprune_lib import UCB
        >>> run = RunSteps(UCB(100, 0.5, warm_up=1), batch_size=10, drop_last=True, accumulate=2)
        >>> [run.in_epoch(epoch) for epoch in range(3)]  # of 10, 5 and 5 batches
        [5, 3, 3]
        >>> run.total(2.5), run.epochs(max_steps=9), run.locate(step=6)
        (10, 3, (1, 1))
    """

    sampler: PruningSampler
    batch_size: int
    drop_last: bool
    accumulate: int = 1
    limit: float = 1.0

    def batches(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        samples = self.sampler.samples_in(epoch)
        all_of_it = samples // self.batch_size if self.drop_last else math.ceil(samples / self.batch_size)
        return min(all_of_it, self.limit) if isinstance(self.limit, int) else int(all_of_it * self.limit)

    def in_epoch(self, epoch: int) -> int:
        """Return the number of optimizer steps of an epoch, at least 1."""
        return max(1, math.ceil(self.batches(epoch) / self.accumulate))

    def total(self, epochs: float) -> int:
        """Return the number of optimizer steps of the first epochs, the last of which may be a fraction of an epoch."""
        whole = int(epochs)
        return sum(map(self.in_epoch, range(whole))) + math.ceil((epochs - whole) * self.in_epoch(whole))

    def epochs(self, max_steps: int) -> int:
        """Return the number of epochs that contain so many optimizer steps."""
        epoch, into_it = self.locate(max_steps)
        return epoch + bool(into_it)

    def locate(self, step: int) -> tuple[int, int]:
        """Return the epoch that follows so many optimizer steps, and how many of them are part of it."""
        epoch = 0
        while step >= self.in_epoch(epoch):
            step -= self.in_epoch(epoch)
            epoch += 1
        return epoch, step


def check_fixed_length(sampler: PruningSampler) -> None:
    """Raise ValueError if the length of the epochs follows from the losses: trainers ask for all steps beforehand.

    Example:
        >>> from dynprune_lib import InfoBatch
        >>> check_fixed_length(InfoBatch(100, prune_rate=0.0, fill=False))
        Traceback (most recent call last):
            ...
        ValueError: fill is False: a trainer needs its number of steps before it begins: use fill=True and a prune_rate
    """
    if not sampler.has_fixed_length:
        raise ValueError(
            "fill is False: a trainer needs its number of steps before it begins: use fill=True and a prune_rate"
        )
