"""The optimizer steps of a run whose epochs differ in length, and what both trainers ask of a sampler."""

import dataclasses
import math
from dataclasses import dataclass

from dynprune_lib.samplers import PruningSampler


@dataclass(frozen=True)
class RunSteps:
    """The steps of a run with a pruning sampler, in this process, of which `accumulate` batches make one.

    `limit` is what Lightning calls `limit_train_batches`: a number of batches, or a fraction if it is a float.

    Example:
        >>> from dynprune_lib import UCB
        >>> run = RunSteps(UCB(100, 0.5, warm_up=1), batch_size=10, drop_last=True, accumulate=2)
        >>> [run.in_epoch(epoch) for epoch in range(3)]  # of 10, 5 and 5 batches
        [5, 3, 3]
        >>> run.total(2.5), run.locate(step=6)
        (10, (1, 1))
    """

    sampler: PruningSampler
    batch_size: int
    drop_last: bool
    accumulate: int = 1
    limit: float = 1.0

    def batches(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        samples = self.sampler.samples_in(epoch)
        whole = samples // self.batch_size if self.drop_last else math.ceil(samples / self.batch_size)
        return min(whole, self.limit) if isinstance(self.limit, int) else int(whole * self.limit)

    def in_epoch(self, epoch: int) -> int:
        """Return the number of optimizer steps of an epoch, at least 1."""
        return max(1, math.ceil(self.batches(epoch) / self.accumulate))

    def total(self, epochs: float) -> int:
        """Return the number of optimizer steps of the first epochs, the last of which may be a fraction of an epoch."""
        whole = int(epochs)
        return sum(map(self.in_epoch, range(whole))) + math.ceil((epochs - whole) * self.in_epoch(whole))

    def locate(self, step: int) -> tuple[int, int]:
        """Return the epoch that follows so many optimizer steps, and how many of them are part of it."""
        epoch = 0
        while step >= self.in_epoch(epoch):
            step -= self.in_epoch(epoch)
            epoch += 1
        return epoch, step


def check_sampler(sampler: PruningSampler) -> None:
    """Check that a sampler ranks by losses and has epochs of a fixed length, and let it make the shards."""
    name = type(sampler).__name__
    if sampler.required_score not in (None, "loss"):
        raise ValueError(
            f"{name} is defined for the score {sampler.required_score}, and a trainer gives it losses: use it in your"
            " own loop"
        )
    if not sampler.has_fixed_length:
        raise ValueError(
            f"fill is False: this trainer must know its steps, so use {name}(..., prune_rate=..., fill=True) with the"
            " share that an epoch is to leave out, or a loop of your own"
        )
    sampler.shard = True  # the loaders of these trainers are not those that distribute samples


def savings(sampler: PruningSampler) -> dict[str, float]:
    """Return the report of a sampler as metrics for the logger of a trainer."""
    metrics = dataclasses.asdict(sampler.report())
    return {f"pruning_{name}": value for name, value in metrics.items() if value is not None}
