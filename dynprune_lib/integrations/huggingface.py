"""Hugging Face `Trainer` with a pruning sampler."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from dynprune_lib.integrations import check_constant
from dynprune_lib.samplers import PruningSampler, indexed

KEY = "dynprune_index"  # of the position in a batch
FILE = "pruning_sampler.pt"  # of the sampler's state in a checkpoint


class PruningMixin:
    """What makes any `Trainer` prune: `class MyPruningTrainer(PruningMixin, MyTrainer)`.

    The training batches are the sampler's, the loss is the one that the sampler returns, and its state is in the
    trainer's checkpoints. Under several processes each loads its own share, as the sampler cuts it.

    Args:
        pruning_sampler: for as many samples as `train_dataset` has, whose samples are dicts.
        losses_of: from the model's output and the batch to one loss a sample, (B,); by default the cross-entropy of
            `output["logits"]` (B, classes) and `batch["labels"]` (B,).

    Raises:
        ValueError: the sampler is of another number of samples, or its epochs differ in length.
    """

    def __init__(
        self,
        *args: Any,
        pruning_sampler: PruningSampler,
        losses_of: Callable[[Any, dict[str, Tensor]], Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        check_constant(pruning_sampler, "Trainer")
        if len(self.train_dataset) != pruning_sampler.num_samples:
            found, wanted = len(self.train_dataset), pruning_sampler.num_samples
            raise ValueError(f"train_dataset has {found} samples, the sampler was made for {wanted}")
        self.pruning_sampler, self.losses_of = pruning_sampler, losses_of or classification_losses
        self.add_callback(_SaveSampler(pruning_sampler))

    def get_train_dataloader(self) -> DataLoader:
        return _Loader(
            indexed(self.train_dataset, key=KEY),
            batch_size=self._train_batch_size,
            sampler=self.pruning_sampler,
            collate_fn=self.data_collator,
            drop_last=self.args.dataloader_drop_last,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=self.args.dataloader_persistent_workers,
        )

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any
    ) -> Tensor | tuple[Tensor, Any]:
        if KEY not in inputs:  # of an evaluation
            return super().compute_loss(model, inputs, return_outputs, **kwargs)
        batch = dict(inputs)
        index = batch.pop(KEY)
        outputs = model(**batch)
        loss = self.pruning_sampler.update(index, self.losses_of(outputs, batch))
        return (loss, outputs) if return_outputs else loss

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        folder = resume_from_checkpoint
        if folder is True:
            folder = get_last_checkpoint(self.args.output_dir)
        if folder:
            state = torch.load(Path(folder) / FILE, map_location="cpu", weights_only=True)
            self.pruning_sampler.load_state_dict(state)
        return super().train(resume_from_checkpoint, *args, **kwargs)


class PruningTrainer(PruningMixin, Trainer):
    """`Trainer` with a pruning sampler: see PruningMixin."""


def classification_losses(outputs: Any, batch: dict[str, Tensor]) -> Tensor:
    """The cross-entropy of every sample, (B,)."""
    return F.cross_entropy(outputs["logits"].float(), batch["labels"], reduction="none")


class _Loader(DataLoader):
    def set_epoch(self, epoch: int) -> None:
        """Called by Trainer at the start of every epoch."""
        self.sampler.set_epoch(epoch)


class _SaveSampler(TrainerCallback):
    def __init__(self, sampler: PruningSampler) -> None:
        self.sampler = sampler

    def on_save(self, args: TrainingArguments, state: TrainerState, _: TrainerControl, **__: Any) -> None:
        found = self.sampler.state_dict()  # all processes have a part in it
        if state.is_world_process_zero:
            torch.save(found, Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE)
