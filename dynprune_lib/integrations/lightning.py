"""Lightning with a pruning sampler.

Lightning calls `set_epoch` of the sampler itself. The `training_step` of the module returns
`sampler.update(index, losses)`.
"""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from dynprune_lib.integrations import check_equal_epochs
from dynprune_lib.samplers import PruningSampler


class PruningCallback(Callback):
    """Callback that saves the state of the sampler in the checkpoints of Lightning and checks how the sampler is used.

    Args:
        sampler: the sampler of the training DataLoader.

    Raises:
        ValueError: if the epochs of the sampler differ in length; when training starts, if the DataLoader does not use
            this sampler itself, for example because Lightning has replaced or wrapped it.

    Example:
        >>> from dynprune_lib import UCB
        >>> sampler = UCB(50_000, prune_rate=0.5)
        >>> trainer = Trainer(callbacks=[PruningCallback(sampler)], use_distributed_sampler=False)  # doctest: +SKIP
    """

    def __init__(self, sampler: PruningSampler) -> None:
        check_equal_epochs(sampler, "Lightning")
        self.sampler = sampler

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 (called by name)
        if getattr(trainer.train_dataloader, "sampler", None) is not self.sampler:
            raise ValueError(
                "the training DataLoader has another sampler than this callback: pass it sampler=..., and with several"
                " processes use Trainer(use_distributed_sampler=False), because this sampler makes its own shards"
            )

    def state_dict(self) -> dict[str, Any]:
        return self.sampler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state_dict)
