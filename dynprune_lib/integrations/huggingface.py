"""Hugging Face `Trainer` with a pruning sampler."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint, seed_worker

from dynprune_lib.integrations.steps import RunSteps, check_sampler, savings
from dynprune_lib.integrations.trainer_losses import LOSSES_OF, default_losses, shifts_labels
from dynprune_lib.samplers import IndexedCollate, PruningSampler, indexed
from dynprune_lib.samplers.loading import check_batch_size, check_num_samples

INDEX_KEY = "dynprune_index"  # key of the sample indices in a batch
STATE_FILE = "pruning_sampler.pt"  # file with the state of the sampler in a checkpoint

if not hasattr(Trainer, "loss_is_scaled_for_ga"):
    raise ImportError("this release of transformers is too old for pruning: pip install 'transformers>=5.23'")

_TrainerBase = Trainer if TYPE_CHECKING else object  # a mixin needs no base, a type checker needs the attributes


class PruningMixin(_TrainerBase):
    """Mixin that adds a pruning sampler to any `Trainer`: `class MyPruningTrainer(PruningMixin, MyTrainer)`.

    The sampler selects the training batches and computes the training loss: the mean of the per-sample losses of all
    batches and processes that one optimizer step accumulates. Its state is saved in, and resumed from, the checkpoints
    of the trainer. With several processes, each loads the samples of its own shard. Epochs may differ in length, in
    warm-up and annealing. At the end, `sampler.report()` is printed and logged.

    Four private methods of `Trainer` are used, because it knows a single length of all epochs, and drops columns that
    the model does not take: `_run_epoch`, `_init_training_state`, `_remove_unused_columns` and its twin for collators.

    Args:
        pruning_sampler: sampler for the samples of `train_dataset`.
        losses_of: function from the output of the model and the batch to the per-sample losses, (B,). Default: None,
            for the loss of classification, token classification, language models, regression and multi-label models.

    Raises:
        TypeError: if `train_dataset` has no length.
        ValueError: if the sampler was made for another number of samples, if an epoch has no full batch and the last is
            dropped, or if an option or method of the trainer would not be used; the message names it.
    """

    loss_is_scaled_for_ga = True  # for `Trainer`: do not divide the loss by the number of accumulated batches

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if issubclass(cls, Trainer) and cls.__mro__.index(Trainer) < cls.__mro__.index(PruningMixin):
            raise TypeError(f"{cls.__name__} has PruningMixin after its Trainer: put PruningMixin first")

    def __init__(
        self,
        *args: Any,
        pruning_sampler: PruningSampler,
        losses_of: Callable[[Any, dict[str, Tensor]], Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.pruning_sampler, self.losses_of = pruning_sampler, losses_of
        self._batch_size = self.args.train_batch_size  # of one process
        self._passes_before = 0
        check_sampler(pruning_sampler)
        _check_arguments(self.args, pruning_sampler)
        check_num_samples(self.train_dataset, pruning_sampler, "train_dataset")
        _check_losses(self)
        self.add_callback(_SaveSamplerState(pruning_sampler))

    # Loading -------------------------------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        arguments, dataset, collate = self.args, self.train_dataset, self.data_collator
        if hasattr(dataset, "remove_columns"):  # a Dataset of the library datasets
            dataset = self._remove_unused_columns(dataset, description="training")
        else:
            collate = self._get_collator_with_removed_columns(collate, description="training")
        accumulated = arguments.gradient_accumulation_steps * arguments.world_size
        self._batch_size = self.get_total_train_batch_size(arguments) // accumulated  # may have been found by trial
        check_batch_size(self.pruning_sampler, self._batch_size, arguments.dataloader_drop_last)
        return DataLoader(
            indexed(dataset),
            batch_size=self._batch_size,
            sampler=self.pruning_sampler,
            collate_fn=IndexedCollate(collate, key=INDEX_KEY),
            drop_last=arguments.dataloader_drop_last,
            num_workers=arguments.dataloader_num_workers,
            pin_memory=arguments.dataloader_pin_memory,
            persistent_workers=arguments.dataloader_persistent_workers,
            prefetch_factor=arguments.dataloader_prefetch_factor,
            multiprocessing_context=arguments.dataloader_multiprocessing_context,
            in_order=arguments.dataloader_in_order,
            worker_init_fn=partial(
                seed_worker, num_workers=arguments.dataloader_num_workers, rank=arguments.process_index
            ),
        )

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Return the batches of one optimizer step, and remember how many samples of this process they have."""
        batches, num_items = super().get_batch_samples(*args, **kwargs)
        self._samples_in_step = sum(len(batch[INDEX_KEY]) for batch in batches)
        return batches, num_items

    # The loss ------------------------------------------------------------------------------------------------------

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, **kwargs)
        if INDEX_KEY not in inputs:
            raise ValueError(f"a training batch has no {INDEX_KEY}: do not remove it before compute_loss")
        batch = dict(inputs)
        index = batch.pop(INDEX_KEY)
        outputs = model(**batch)
        loss = self.pruning_sampler.update(index, self._losses(outputs, batch))
        # gradients are added over the batches of a step, and averaged over the processes, whose shards are equally long
        loss = loss * (len(index) / self._samples_in_step)
        return (loss, outputs) if return_outputs else loss

    def _losses(self, outputs: Any, batch: dict[str, Tensor]) -> Tensor:
        if self.losses_of is not None:
            return self.losses_of(outputs, batch)
        return default_losses(
            outputs,
            batch,
            problem_type=getattr(getattr(self.model, "config", None), "problem_type", None),
            shifts=shifts_labels(self.model),
            smoothing=self.label_smoother.epsilon if self.label_smoother is not None else 0.0,
        )

    # Epochs of different length --------------------------------------------------------------------------------------

    @property
    def _steps(self) -> RunSteps:
        arguments = self.args
        accumulate = arguments.gradient_accumulation_steps
        return RunSteps(self.pruning_sampler, self._batch_size, arguments.dataloader_drop_last, accumulate)

    def set_initial_training_values(self, args: TrainingArguments, dataloader: DataLoader) -> tuple[Any, ...]:
        _, steps, *others, max_steps = super().set_initial_training_values(args, dataloader)
        if args.max_steps > 0:
            epoch, into_it = self._steps.locate(max_steps)
            epochs = epoch + bool(into_it)
        else:
            epochs, max_steps = math.ceil(args.num_train_epochs), self._steps.total(args.num_train_epochs)
        self._passes_before = self.pruning_sampler.report().passes_made
        return epochs, steps, *others, max_steps

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        super()._init_training_state(*args, **kwargs)
        epoch, steps = self._steps.locate(self.state.global_step)
        return epoch, 0 if self.args.ignore_data_skip else steps * self.args.gradient_accumulation_steps

    def _run_epoch(self, *, epoch: int, **kwargs: Any) -> None:
        self.pruning_sampler.set_epoch(epoch)
        steps = self._steps
        kwargs |= {"steps_in_epoch": steps.batches(epoch), "num_update_steps_per_epoch": steps.in_epoch(epoch)}
        super()._run_epoch(epoch=epoch, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "train_runtime" in logs:  # the summary at the end
            report = self.pruning_sampler.report()
            made = report.passes_made - self._passes_before
            logs["train_samples_per_second"] = round(made / logs["train_runtime"], 3)
            super().log(savings(self.pruning_sampler), *args, **kwargs)
            if self.is_world_process_zero():
                print(f"Pruning: {report}")
        super().log(logs, *args, **kwargs)

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        folder = resume_from_checkpoint
        if folder is True:
            folder = get_last_checkpoint(self.args.output_dir)
        if folder:
            self.pruning_sampler.load_state_dict(_load_state(Path(folder)))
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def hyperparameter_search(self, *_: Any, **__: Any) -> Any:
        raise ValueError(
            "hyperparameter_search would train every trial with what one sampler remembers of the trials before: make a"
            " trainer with a new sampler for each trial"
        )


class PruningTrainer(PruningMixin, Trainer):
    """`Trainer` with a pruning sampler; see `PruningMixin` for its arguments.

    Example:
        >>> from dynprune_lib import UCB
        >>> sampler = UCB(len(train_set), prune_rate=0.5)  # doctest: +SKIP
        >>> PruningTrainer(model, arguments, train_dataset=train_set, pruning_sampler=sampler).train()  # doctest: +SKIP
    """


class _SaveSamplerState(TrainerCallback):
    def __init__(self, sampler: PruningSampler) -> None:
        self.sampler = sampler

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        sampler_state = self.sampler.state_dict()  # a collective call: on all ranks
        if state.is_world_process_zero:
            torch.save(sampler_state, Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / STATE_FILE)


def _load_state(folder: Path) -> dict[str, Any]:
    if not (folder / STATE_FILE).exists():
        raise ValueError(
            f"{folder} has no {STATE_FILE}: a trainer without pruning saved it, so load its model and start a new run"
        )
    return torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)


# What a pruning trainer cannot honour, with what to do instead -----------------------------------------------------


def _check_arguments(arguments: Any, sampler: PruningSampler) -> None:
    """Check that the training arguments do not ask for another order of the epochs than that of the sampler."""
    strategy = getattr(arguments, "train_sampling_strategy", "random")
    if strategy != "random":
        _refuse("train_sampling_strategy", strategy, "the pruning sampler orders the samples, so use 'random'")
    if arguments.data_seed not in (None, sampler.seed):
        _refuse("data_seed", arguments.data_seed, "the pruning sampler has the seed of the order: set its `seed`")
    for option in ("split_batches", "dispatch_batches"):
        if getattr(arguments.accelerator_config, option, None):
            _refuse(f"accelerator_config.{option}", True, "the pruning sampler distributes the samples, so use False")


def _check_losses(trainer: Any) -> None:
    """Check that no loss of the user is skipped silently: neither `compute_loss_func` nor a method of a subclass."""
    has_losses = trainer.losses_of is not None
    if trainer.compute_loss_func is not None and not has_losses:
        _refuse("compute_loss_func", trainer.compute_loss_func, f"it returns one loss for the batch; {LOSSES_OF}")
    if has_losses and trainer.label_smoother is not None:
        _refuse("label_smoothing_factor", trainer.args.label_smoothing_factor, "losses_of is set: smooth in losses_of")
    bases = type(trainer).__mro__
    bases = bases[bases.index(PruningMixin) + 1 :]
    for name, remedy in (
        ("compute_loss", None if has_losses else f"its loss would not be used in training; {LOSSES_OF}"),
        ("get_train_dataloader", "its loader would not be used; set train_dataset and data_collator instead"),
        ("_get_train_sampler", "its sampler would not be used; the pruning sampler orders the samples"),
    ):
        owner = next((base for base in bases if name in vars(base)), Trainer)
        if remedy and owner is not Trainer:
            raise ValueError(f"{owner.__name__} has its own {name}: {remedy}")


def _refuse(name: str, value: Any, reason: str) -> None:
    raise ValueError(f"{name} is {value!r}: {reason}")
