"""Lightning with a pruning sampler.

Lightning calls the sampler's `set_epoch` by itself; a module's `training_step` returns `sampler.update(index, losses)`.
"""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from dynprune_lib.integrations import check_constant
from dynprune_lib.samplers import PruningSampler


class PruningCallback(Callback):
    """Keeps the sampler's state in Lightning's checkpoints, and refuses what would go wrong.

    Args:
        sampler: the one that the training's DataLoader has.

    Raises:
        ValueError: the sampler's epochs differ in length, or, when the training begins, the loader has another sampler
            or Lightning would put one of its own around it.
    """

    def __init__(self, sampler: PruningSampler) -> None:
        check_constant(sampler, "Lightning")
        self.sampler = sampler

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 (called by name)
        if trainer.train_dataloader.sampler is not self.sampler:
            raise ValueError(
                "the training's DataLoader has another sampler than this callback: give it sampler=..., and under"
                " several processes Trainer(use_distributed_sampler=False), because this sampler shares by itself"
            )

    def state_dict(self) -> dict[str, Any]:
        return self.sampler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state_dict)
