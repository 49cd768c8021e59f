"""The schedule of a run: which epochs are pruned, and how many samples and steps each epoch has."""

from torch import Tensor

from dynprune_lib.samplers.merge import world_size
from dynprune_lib.samplers.usage import Usage


class Schedule:
    """Mixin that splits a run into warm-up, pruned epochs and annealing.

    Warm-up and annealing use all samples. The pruned epochs in between form periods of `period` epochs each, numbered
    from 0, and all epochs of a period share one subset. Every length follows from the settings alone, so the number of
    steps of a run is known before it starts, except for samplers without `has_fixed_length`.
    """

    num_samples: int
    num_kept: int
    period: int
    warm_up: int
    anneal_from: int | None
    shard: bool
    epoch: int
    _usage: Usage

    @property
    def _subset(self) -> Tensor:
        raise NotImplementedError

    @property
    def _num_trained(self) -> int:
        """Number of samples of the current epoch that this process has trained on."""
        return self._usage.num_trained

    @property
    def has_fixed_length(self) -> bool:
        """Whether the length of every epoch follows from the settings alone."""
        return True

    @property
    def period_number(self) -> int:
        """Number of the period that contains `epoch`; 0 is the first period after the warm-up."""
        return (self.epoch - self.warm_up) // self.period

    def selects_at(self, epoch: int) -> bool:
        """Return whether `set_epoch(epoch)` would start a new selection period.

        Example:
            >>> from dynprune_lib import DynamicRandom
            >>> sampler = DynamicRandom(8, prune_rate=0.5, period=2, warm_up=1, anneal_from=5)
            >>> sampler.set_epoch(1)
            >>> [sampler.selects_at(epoch) for epoch in range(1, 6)]
            [False, False, True, True, False]
        """
        return self._phase(epoch) not in (None, self._phase(self.epoch))

    def samples_in(self, epoch: int) -> int:
        """Return the number of samples of any epoch; under `torch.distributed`, of this process's shard.

        Without `has_fixed_length`, it is the greatest number for an epoch whose samples are not selected yet. With
        `shard=False`, it is the number in all processes together.

        Example:
            >>> from dynprune_lib import DynamicRandom
            >>> sampler = DynamicRandom(100, prune_rate=0.7, warm_up=1, anneal_from=4)
            >>> [sampler.samples_in(epoch) for epoch in range(6)]
            [100, 30, 30, 30, 100, 100]
        """
        return self._num_selected(epoch) // (world_size() if self.shard else 1)

    def greatest_length(self, epoch: int) -> int:
        """Return the greatest number of samples that an epoch can have, in all processes together."""
        return self.num_samples if self._uses_all(epoch) else self.num_kept

    def equal_compute_epochs(self, epochs: int) -> float:
        """Return for how many epochs full data makes the sample passes of a run: the comparison to make first.

        Without `has_fixed_length`, it is an upper bound; `report` has the passes that were made.

        Args:
            epochs: number of epochs of the run with this sampler.

        Example:
            >>> from dynprune_lib import UCB
            >>> UCB(50_000, prune_rate=4 / 7, anneal_from=14).equal_compute_epochs(16)
            8.0
        """
        return round(sum(map(self.greatest_length, range(epochs))) / self.num_samples, 3)

    def total_steps(self, epochs: int, batch_size: int, drop_last: bool = True) -> int:
        """Return the number of optimizer steps of a run, for example for a learning-rate schedule.

        Without `has_fixed_length`, it is an upper bound: let a schedule follow the progress in epochs.

        Args:
            epochs: number of epochs of the run.
            batch_size: batch size of the loader; under `torch.distributed`, of one process.
            drop_last: whether the loader drops the last incomplete batch of an epoch. Default: True.

        Example:
            >>> from dynprune_lib import DynamicRandom
            >>> DynamicRandom(100, prune_rate=0.7, warm_up=1).total_steps(epochs=3, batch_size=10)
            16
        """
        return sum(self._steps_in(epoch, batch_size, drop_last) for epoch in range(epochs))

    def steps_left(self, epochs: int, batch_size: int, drop_last: bool = True) -> int:
        """Return how many of the `total_steps` remain, at any moment of a run and after `load_state_dict`.

        Steps are counted from the batches passed to `update` or `mean_loss` since the last `set_epoch`, which starts
        its epoch from the beginning. The arguments are those of `total_steps`.

        Example:
            >>> import torch
            >>> from dynprune_lib import DynamicRandom
            >>> sampler = DynamicRandom(100, prune_rate=0.5)
            >>> loss = sampler.update(sampler.indices()[:10], torch.rand(10))
            >>> sampler.steps_left(epochs=3, batch_size=10)
            14
        """
        if self.epoch >= epochs:
            return 0
        later = sum(self._steps_in(epoch, batch_size, drop_last) for epoch in range(self.epoch + 1, epochs))
        share = self._num_selected(self.epoch)
        share = share // world_size() if self.shard else -(-share // world_size())
        if self._num_trained >= share:
            return later
        return later + max(0, self._steps_in(self.epoch, batch_size, drop_last) - self._num_trained // batch_size)

    def _uses_all(self, epoch: int) -> bool:
        """Return whether an epoch belongs to the warm-up or the annealing."""
        return epoch < self.warm_up or (self.anneal_from is not None and epoch >= self.anneal_from)

    def _phase(self, epoch: int) -> int | None:
        """Return the number of an epoch's period, or None if the epoch uses all samples."""
        # warm-up and annealing are one phase, although pruned epochs lie between them: both have the same subset, all
        # samples, so two epochs of one phase never need a new selection
        return None if self._uses_all(epoch) else (epoch - self.warm_up) // self.period

    def _num_selected(self, epoch: int) -> int:
        """Return the number of samples of an epoch in all processes together."""
        if self.has_fixed_length or self._phase(epoch) != self._phase(self.epoch):
            return self.greatest_length(epoch)
        return len(self._subset)

    def _steps_in(self, epoch: int, batch_size: int, drop_last: bool) -> int:
        samples, world = self._num_selected(epoch), world_size()
        if drop_last:
            return samples // (world * batch_size)
        return -(-(samples // world) // batch_size) if self.shard else -(-samples // (world * batch_size))
