"""Checks that refuse what a pruning `Trainer` cannot honour, with what to do instead."""

from typing import Any

from transformers import Trainer

from dynprune_lib.integrations.steps import check_whole_epochs
from dynprune_lib.samplers import PruningSampler
from dynprune_lib.samplers.loading import check_num_samples


def check_arguments(arguments: Any, sampler: PruningSampler) -> None:
    """Check that the sampler ranks by losses, and that the training arguments do not ask for another order or length of
    the epochs than that of the sampler.

    Raises:
        ValueError: if it does not, or they do; the message names the argument.
    """
    if sampler.required_score not in (None, "loss"):
        score = f"it is defined for the score {sampler.required_score}, and a trainer gives it losses"
        _refuse("pruning_sampler", type(sampler).__name__, f"{score}: use it in your own loop")
    epochs, max_steps = arguments.num_train_epochs, arguments.max_steps
    told = f"max_steps is {max_steps}" if max_steps > 0 else f"num_train_epochs is {epochs}"
    check_whole_epochs(sampler, told, max_steps <= 0 and epochs == int(epochs), "a whole number of num_train_epochs")
    strategy = getattr(arguments, "train_sampling_strategy", "random")
    if strategy != "random":
        _refuse("train_sampling_strategy", strategy, "the pruning sampler orders the samples, so use 'random'")
    if arguments.data_seed not in (None, sampler.seed):
        _refuse("data_seed", arguments.data_seed, "the pruning sampler has the seed of the order: set its `seed`")
    for option in ("split_batches", "dispatch_batches"):
        if getattr(arguments.accelerator_config, option, None):
            _refuse(f"accelerator_config.{option}", True, "the pruning sampler distributes the samples, so use False")


def check_dataset(dataset: Any, sampler: PruningSampler) -> None:
    """Check that there is a data set to train on, of the size of the sampler.

    Raises:
        TypeError: if the data set has no length.
        ValueError: if there is none, or if it has another number of samples.
    """
    if dataset is None:
        _refuse("train_dataset", None, "pruning needs the data set that the sampler was made for")
    check_num_samples(dataset, sampler, "train_dataset")


def check_losses(trainer: Any, own: type) -> None:
    """Check that no loss of the user is skipped silently: neither `compute_loss_func` nor a method of a subclass.

    Args:
        trainer: the trainer.
        own: the mixin, whose methods come before those of the other base classes.

    Raises:
        ValueError: if there is such a loss, or a `label_smoothing_factor`, and no `losses_of`, or the other way round.
    """
    has_losses = trainer.losses_of is not None
    example = "pass losses_of=..., a function of (outputs, batch) that returns one loss per sample"
    if trainer.compute_loss_func is not None and not has_losses:
        _refuse("compute_loss_func", trainer.compute_loss_func, f"it returns one loss for the batch; {example}")
    if has_losses and trainer.label_smoother is not None:
        _refuse("label_smoothing_factor", trainer.args.label_smoothing_factor, "losses_of is set: smooth in losses_of")
    for name, remedy in (
        ("compute_loss", None if has_losses else f"its loss would not be used in training; {example}"),
        ("get_train_dataloader", "its loader would not be used; set train_dataset and data_collator instead"),
        ("_get_train_sampler", "its sampler would not be used; the pruning sampler orders the samples"),
    ):
        owner = _owner(type(trainer), name, after=own)
        if remedy and owner is not Trainer:
            raise ValueError(f"{owner.__name__} has its own {name}: {remedy}")


def _owner(cls: type, name: str, after: type) -> type:
    bases = cls.__mro__[cls.__mro__.index(after) + 1 :]
    return next(base for base in bases if name in vars(base))


def _refuse(name: str, value: Any, reason: str) -> None:
    raise ValueError(f"{name} is {value!r}: {reason}")
