"""Hugging Face `Trainer` with a pruning sampler."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from dynprune_lib.integrations import check_equal_epochs
from dynprune_lib.samplers import PruningSampler, indexed

INDEX_KEY = "dynprune_index"  # key of the sample indices in a batch
STATE_FILE = "pruning_sampler.pt"  # file with the state of the sampler in a checkpoint

_TrainerBase = Trainer if TYPE_CHECKING else object  # a mixin needs no base, a type checker needs the attributes


class PruningMixin(_TrainerBase):
    """Mixin that adds a pruning sampler to any `Trainer`: `class MyPruningTrainer(PruningMixin, MyTrainer)`.

    The sampler selects the training batches and computes the training loss. Its state is saved in, and resumed from,
    the checkpoints of the trainer. With several processes, each loads the samples of its own shard.

    Args:
        pruning_sampler: sampler for the samples of `train_dataset`, which must be dicts.
        losses_of: function from the output of the model and the batch to the per-sample losses, (B,). Default: None,
            for `classification_losses`.

    Raises:
        ValueError: if the sampler was made for another number of samples, or if its epochs differ in length.
    """

    def __init__(
        self,
        *args: Any,
        pruning_sampler: PruningSampler,
        losses_of: Callable[[Any, dict[str, Tensor]], Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        check_equal_epochs(pruning_sampler, "Trainer")
        dataset: Any = self.train_dataset
        found, expected = len(dataset), pruning_sampler.num_samples
        if found != expected:
            raise ValueError(f"train_dataset has {found} samples, but the sampler was made for {expected}")
        self.pruning_sampler, self.losses_of = pruning_sampler, losses_of or classification_losses
        self.add_callback(_SaveSamplerState(pruning_sampler))

    def get_train_dataloader(self) -> DataLoader:
        dataset: Any = self.train_dataset
        return _EpochLoader(
            indexed(dataset, key=INDEX_KEY),
            batch_size=self._train_batch_size,
            sampler=self.pruning_sampler,
            collate_fn=self.data_collator,
            drop_last=self.args.dataloader_drop_last,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=self.args.dataloader_persistent_workers,
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        if INDEX_KEY not in inputs:  # an evaluation batch
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        batch = dict(inputs)
        index = batch.pop(INDEX_KEY)
        outputs = model(**batch)
        loss = self.pruning_sampler.update(index, self.losses_of(outputs, batch))
        return (loss, outputs) if return_outputs else loss

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        folder = resume_from_checkpoint
        if folder is True:
            folder = get_last_checkpoint(self.args.output_dir)
        if folder:
            state = torch.load(Path(folder) / STATE_FILE, map_location="cpu", weights_only=True)
            self.pruning_sampler.load_state_dict(state)
        return super().train(resume_from_checkpoint, *args, **kwargs)


class PruningTrainer(PruningMixin, Trainer):
    """`Trainer` with a pruning sampler; see `PruningMixin` for its arguments.

    Example:
        >>> from dynprune_lib import UCB
        >>> sampler = UCB(len(train_set), prune_rate=0.5)  # doctest: +SKIP
        >>> PruningTrainer(model, arguments, train_dataset=train_set, pruning_sampler=sampler).train()  # doctest: +SKIP
    """


def classification_losses(outputs: Any, batch: dict[str, Tensor]) -> Tensor:
    """Return the per-sample cross-entropy, (B,) float32, of a classification model.

    Args:
        outputs: output of the model, with "logits" (B, classes).
        batch: batch with "labels" (B,) int64.

    Example:
        >>> classification_losses({"logits": torch.tensor([[2.0, 0.0], [0.0, 2.0]])}, {"labels": torch.tensor([0, 0])})
        tensor([0.1269, 2.1269])
    """
    return F.cross_entropy(outputs["logits"].float(), batch["labels"], reduction="none")


class _EpochLoader(DataLoader):
    """DataLoader that passes `set_epoch` on: `Trainer` calls it on the loader, at the start of every epoch."""

    def set_epoch(self, epoch: int) -> None:
        assert isinstance(self.sampler, PruningSampler)
        self.sampler.set_epoch(epoch)


class _SaveSamplerState(TrainerCallback):
    def __init__(self, sampler: PruningSampler) -> None:
        self.sampler = sampler

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        sampler_state = self.sampler.state_dict()  # a collective call: on all ranks
        if state.is_world_process_zero:
            torch.save(sampler_state, Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / STATE_FILE)
