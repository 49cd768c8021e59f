"""Lightning with a pruning sampler, whose `set_epoch` it calls; `training_step` returns `sampler.update(...)`."""

import multiprocessing
import warnings
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from dynprune_lib.integrations.steps import RunSteps, check_sampler, savings
from dynprune_lib.samplers import PruningSampler
from dynprune_lib.samplers.loading import check_batch_size

LENGTHS = ("total_steps", "T_max", "total_iters")  # what schedules of PyTorch call their number of steps


class PruningCallback(Callback):
    """Callback that saves the state of the sampler in the checkpoints of Lightning and checks how the sampler is used.

    It also tells Lightning the length of every epoch, if they differ, and resumes an epoch where it was interrupted. At
    the end, `sampler.report()` is printed and logged. Lightning knows a single length of all epochs; to change it, two
    of its names are used that are not in its documentation: `fit_loop.max_batches` and `_combined_loader.limits`.

    Args:
        sampler: the sampler of the training DataLoader, which may be one of several.

    Raises:
        ValueError: when training starts, if no DataLoader uses this sampler itself, for example because Lightning has
            replaced it; if a schedule has the steps of epochs that are all equally long; if a checkpoint has no state
            of a sampler.

    Example:
        >>> from dynprune_lib import UCB
        >>> sampler = UCB(50_000, prune_rate=0.5)
        >>> trainer = Trainer(callbacks=[PruningCallback(sampler)])  # doctest: +SKIP
    """

    def __init__(self, sampler: PruningSampler) -> None:
        check_sampler(sampler)
        self.sampler = sampler
        self._is_complete = False  # whether the last batch of the epoch was trained on
        self._is_fit = True  # else nothing is trained, and any checkpoint will do

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {"sampler": self.sampler.state_dict(), "is_complete": self._is_complete}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        if self._is_fit and self.state_key not in checkpoint.get("callbacks", {}):
            raise ValueError(
                "this checkpoint has no state of a sampler: a run without PruningCallback saved it, so load its weights"
                " into the module and start a new run"
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not self._is_fit:
            return
        self.sampler.load_state_dict(state_dict["sampler"], skip_trained=True)
        self._is_complete = state_dict["is_complete"]
        if self._is_complete:
            self.sampler.set_epoch(self.sampler.epoch + 1)

    # Lengths ---------------------------------------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002 (called by name)
        self._is_fit = stage == "fit"
        if self._is_fit and self.sampler.epoch != trainer.current_epoch:  # of an earlier run
            self.sampler.set_epoch(trainer.current_epoch)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._set_length(trainer)
        _, loader = self._find_loader(trainer)
        check_batch_size(self.sampler, loader.batch_size, loader.drop_last)
        self._check_schedules(trainer)
        if self._is_complete:  # Lightning compares the batches of the resumed epoch with its length, not with the next
            trainer.fit_loop.max_batches = trainer.fit_loop.epoch_loop.batch_progress.current.processed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._set_length(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        self._is_complete = False
        if batch_idx == 0:  # in an epoch that Lightning takes for a resumed one, nothing else is called before
            self._set_length(trainer)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        *_, batch_idx = args
        self._is_complete = batch_idx + 1 >= trainer.num_training_batches

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        metrics = savings(self.sampler)
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)
        if trainer.is_global_zero:
            print(f"Pruning: {self.sampler.report()}")
            if multiprocessing.parent_process() is not None:  # ddp_spawn, ddp_fork, ddp_notebook
                warnings.warn(
                    "the sampler has learned in a process that ends with this run, and the one in your program knows"
                    " nothing of it: load its state from a checkpoint before you go on",
                    stacklevel=2,
                )

    def _find_loader(self, trainer: Trainer) -> tuple[int, DataLoader]:
        """Return the position and the DataLoader of the sampler among the training loaders."""
        loaders: Any = trainer.fit_loop._combined_loader
        for position, loader in enumerate(loaders.flattened):
            if getattr(loader, "sampler", None) is self.sampler:
                return position, loader
        raise ValueError(
            "the training DataLoader has another sampler than this callback: pass it sampler=..., and instead of"
            " overfit_batches, which replaces the sampler, use limit_train_batches"
        )

    def _steps(self, trainer: Trainer) -> RunSteps:
        _, loader = self._find_loader(trainer)
        assert loader.batch_size is not None  # a DataLoader with a sampler has one
        limits = trainer.accumulate_grad_batches, trainer.limit_train_batches
        return RunSteps(self.sampler, loader.batch_size, loader.drop_last, *limits)

    def _set_length(self, trainer: Trainer) -> None:
        position, _ = self._find_loader(trainer)
        loop: Any = trainer.fit_loop
        loop._combined_loader.limits[position] = self._steps(trainer).batches(self.sampler.epoch)  # also its iterator's
        loop.max_batches = len(loop._combined_loader)
        if isinstance(trainer.val_check_interval, float) and isinstance(trainer.val_check_batch, int):
            trainer.val_check_batch = max(1, int(loop.max_batches * trainer.val_check_interval))

    def _check_schedules(self, trainer: Trainer) -> None:
        """Check that no schedule has the number of steps that Lightning estimates from the length of a single epoch."""
        if trainer.max_epochs in (None, -1):
            return
        steps = self._steps(trainer)
        right = steps.total(trainer.max_epochs)
        wrong = {trainer.max_epochs * steps.in_epoch(epoch) for epoch in (0, self.sampler.epoch)} - {right}
        for config in trainer.lr_scheduler_configs:
            for name in LENGTHS:
                if config.interval == "step" and (found := getattr(config.scheduler, name, None)) in wrong:
                    raise ValueError(
                        f"{type(config.scheduler).__name__} has {name}={found}, but this run makes {right} steps:"
                        " estimated_stepping_batches takes all epochs to be equally long, so use"
                        " sampler.total_steps(epochs, batch_size)"
                    )
