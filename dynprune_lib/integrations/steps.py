"""The optimizer steps of a run whose epochs differ in length."""

import dataclasses
import math
from dataclasses import dataclass

from dynprune_lib.samplers import PruningSampler
from dynprune_lib.samplers.merge import world_size
from dynprune_lib.samplers.schedule import spread


@dataclass(frozen=True)
class RunSteps:
    """The steps of a run with a pruning sampler, in this process.

    Without `sampler.has_fixed_length`, the length of an epoch is known from its start on. Until then, and in a
    learning-rate schedule, it counts with its greatest length: `schedule_steps` makes the schedule follow the epochs.

    Args:
        sampler: the sampler, whose settings determine the length of every epoch, or its greatest length.
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
        >>> [run.schedule_steps(epoch=1, step=step) for step in range(3)]  # one of the schedule for each
        [1, 1, 1]
    """

    sampler: PruningSampler
    batch_size: int
    drop_last: bool
    accumulate: int = 1
    limit: float = 1.0

    def batches(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        return self._batches(self.sampler.samples_in(epoch))

    def in_epoch(self, epoch: int) -> int:
        """Return the number of optimizer steps of an epoch, at least 1."""
        return self._steps(self.batches(epoch))

    def at_most_in_epoch(self, epoch: int) -> int:
        """Return the number of optimizer steps of an epoch of the greatest length."""
        return self._steps(self._batches(self.sampler.greatest_length(epoch) // world_size()))

    def total(self, epochs: float) -> int:
        """Return the number of optimizer steps of the first epochs, the last of which may be a fraction of an epoch.

        Without `has_fixed_length`, it is the greatest number.
        """
        whole = int(epochs)
        return sum(map(self.at_most_in_epoch, range(whole))) + math.ceil((epochs - whole) * self.in_epoch(whole))

    def schedule_steps(self, epoch: int, step: int) -> int:
        """Return how many steps of a schedule of `total` steps belong to an optimizer step of the epoch that runs.

        They are spread evenly over the epoch, so that the schedule ends with the last epoch.

        Args:
            epoch: number of the epoch.
            step: number of the optimizer step in the epoch, from 0.
        """
        return spread(self.at_most_in_epoch(epoch), self.in_epoch(epoch), step)

    def epochs(self, max_steps: int) -> int:
        """Return the number of epochs that contain so many optimizer steps."""
        epoch, into_it = self.locate(max_steps)
        return epoch + bool(into_it)

    def locate(self, step: int) -> tuple[int, int]:
        """Return the epoch that follows so many optimizer steps, and how many of them are part of it.

        Without `has_fixed_length`, only the sampler knows: `step` must be its current one, or 0.
        """
        if step and not self.sampler.has_fixed_length:
            return self._locate_sampler()
        epoch = 0
        while step >= self.in_epoch(epoch):
            step -= self.in_epoch(epoch)
            epoch += 1
        return epoch, step

    def _locate_sampler(self) -> tuple[int, int]:
        epoch = self.sampler.epoch
        left = self.sampler.steps_left(epoch + 1, self.batch_size, self.drop_last)
        return (epoch, (self.batches(epoch) - left) // self.accumulate) if left else (epoch + 1, 0)

    def _batches(self, samples: int) -> int:
        all_of_it = samples // self.batch_size if self.drop_last else math.ceil(samples / self.batch_size)
        return min(all_of_it, self.limit) if isinstance(self.limit, int) else int(all_of_it * self.limit)

    def _steps(self, batches: int) -> int:
        return max(1, math.ceil(batches / self.accumulate))


def check_whole_epochs(sampler: PruningSampler, name: str, is_whole: bool, remedy: str) -> None:
    """Check that a run of epochs whose length follows from the losses has a number of epochs, not of steps.

    Args:
        sampler: the sampler.
        name: what the trainer was told instead, for the message.
        is_whole: whether the length of the run is a whole number of epochs.
        remedy: what to use instead.

    Raises:
        ValueError: if it has not.

    Example:
        >>> from dynprune_lib import InfoBatch
        >>> check_whole_epochs(InfoBatch(100, 0.0, fill=False), "max_steps is 9", False, "num_train_epochs")
        Traceback (most recent call last):
            ...
        ValueError: max_steps is 9: with fill=False the losses determine the number of steps, so use num_train_epochs
    """
    if not is_whole and not sampler.has_fixed_length:
        raise ValueError(f"{name}: with fill=False the losses determine the number of steps, so use {remedy}")


def savings(sampler: PruningSampler) -> dict[str, float]:
    """Return the report of a sampler as metrics for the logger of a trainer.

    Example:
        >>> from dynprune_lib import UCB
        >>> savings(UCB(100, 0.5))["pruning_never_selected"]
        1.0
    """
    metrics = dataclasses.asdict(sampler.report())
    return {f"pruning_{name}": value for name, value in metrics.items() if value is not None}
