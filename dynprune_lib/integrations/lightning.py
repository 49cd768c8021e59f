"""Lightning with a pruning sampler.

Lightning calls `set_epoch` of the sampler itself. The `training_step` of the module returns
`sampler.update(index, losses)`.
"""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from dynprune_lib.integrations.steps import RunSteps, check_whole_epochs, savings
from dynprune_lib.samplers import PruningSampler


class PruningCallback(Callback):
    """Callback that saves the state of the sampler in the checkpoints of Lightning and checks how the sampler is used.

    It also tells Lightning the length of every epoch, if they differ, and resumes an epoch where it was interrupted. If
    the length of an epoch follows from the losses, learning-rate schedules of the interval "step" follow the progress
    in epochs. At the end, `sampler.report()` is printed and logged.

    Args:
        sampler: the sampler of the training DataLoader, which may be one of several.

    Raises:
        ValueError: when training starts, if no DataLoader uses this sampler itself, for example because Lightning has
            replaced or wrapped it; if a checkpoint has no state of a sampler.

    Example:
        >>> from dynprune_lib import UCB
        >>> sampler = UCB(50_000, prune_rate=0.5)
        >>> trainer = Trainer(callbacks=[PruningCallback(sampler)], use_distributed_sampler=False)  # doctest: +SKIP
    """

    def __init__(self, sampler: PruningSampler) -> None:
        self.sampler = sampler

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002 (called by name)
        told = f"max_steps is {trainer.max_steps} and max_epochs {trainer.max_epochs}"
        check_whole_epochs(self.sampler, told, trainer.max_steps == -1 and trainer.max_epochs != -1, "max_epochs alone")
        sampler = self.sampler
        varies = sampler.warm_up or sampler.anneal_from is not None or not sampler.has_fixed_length
        if stage == "fit" and varies and not isinstance(trainer, _EstimatesSteps):
            # Lightning computes this property from the first epoch, and modules read it to make their schedules
            trainer.__class__ = type(type(trainer).__name__, (_EstimatesSteps, type(trainer)), {})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        loop: Any = trainer.fit_loop
        epoch = loop.epoch_progress.current.processed
        is_other = epoch != self.sampler.epoch
        if is_other:
            self.sampler.set_epoch(epoch)
        self._set_length(trainer)
        if is_other:  # Lightning has already made an iterator, whose workers load samples of the other epoch
            iter(loop._data_fetcher)
        if loop.restarted_mid_epoch:
            self._skip_batches(loop)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        if batch_idx == 0:  # in an epoch that Lightning takes for a resumed one, nothing else is called before
            self._set_length(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        loop = trainer.fit_loop.epoch_loop
        if self.sampler.has_fixed_length or loop._should_accumulate():
            return
        steps = self.steps(trainer).schedule_steps(self.sampler.epoch, batch_idx // trainer.accumulate_grad_batches)
        for _ in range(steps - 1):  # Lightning has made one
            loop.update_lr_schedulers("step", update_plateau_schedulers=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        metrics = savings(self.sampler)
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)
        if trainer.is_global_zero:
            print(f"Pruning: {self.sampler.report()}")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._set_length(trainer)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        if self.state_key not in checkpoint.get("callbacks", {}):
            raise ValueError(
                "this checkpoint has no state of a sampler: a run without PruningCallback saved it, so load its weights"
                " into the module and start a new run"
            )

    def state_dict(self) -> dict[str, Any]:
        return self.sampler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state_dict)

    def find_loader(self, trainer: Trainer) -> tuple[int, DataLoader]:
        """Return the position and the DataLoader of the sampler among the training loaders."""
        for position, loader in enumerate(trainer.fit_loop._combined_loader.flattened):
            if getattr(loader, "sampler", None) is self.sampler:
                return position, loader
        raise ValueError(
            "the training DataLoader has another sampler than this callback: pass it sampler=..., and with several"
            " processes use Trainer(use_distributed_sampler=False), because this sampler makes its own shards; instead"
            " of overfit_batches, which replaces the sampler, use limit_train_batches"
        )

    def steps(self, trainer: Trainer) -> RunSteps:
        """Return the lengths of the epochs of this trainer."""
        _, loader = self.find_loader(trainer)
        assert loader.batch_size is not None  # a DataLoader with a sampler has one
        limits = trainer.accumulate_grad_batches, trainer.limit_train_batches
        return RunSteps(self.sampler, loader.batch_size, loader.drop_last, *limits)

    def _skip_batches(self, loop: Any) -> None:
        progress = loop.epoch_loop.batch_progress
        if progress.is_last_batch:  # the resumed epoch was complete: Lightning compares with its length, not the next
            loop.max_batches = progress.current.processed
            return
        for _ in range(progress.current.processed):
            next(loop._data_fetcher)
        loop._data_fetcher.fetched = 0  # Lightning adds these batches

    def _set_length(self, trainer: Trainer) -> None:
        position, _ = self.find_loader(trainer)
        loop: Any = trainer.fit_loop
        loop._combined_loader.limits[position] = self.steps(trainer).batches(self.sampler.epoch)  # also its iterator's
        loop.max_batches = len(loop._combined_loader)
        if isinstance(trainer.val_check_interval, float) and isinstance(trainer.val_check_batch, int):
            trainer.val_check_batch = max(1, int(loop.max_batches * trainer.val_check_interval))


class _EstimatesSteps(Trainer):
    """Trainer that estimates its steps from the lengths of all epochs, or their greatest lengths."""

    @property
    def estimated_stepping_batches(self) -> int | float:
        if self.max_epochs in (None, -1):
            return super().estimated_stepping_batches
        if self.train_dataloader is None:
            self.fit_loop.setup_data()
        callback = next(callback for callback in self.callbacks if isinstance(callback, PruningCallback))
        steps = callback.steps(self).total(self.max_epochs)
        return steps if self.max_steps == -1 else min(steps, self.max_steps)
