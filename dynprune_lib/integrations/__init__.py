"""Adapters for the trainers of other libraries, one file per library: `pip install dynprune[trainers]`."""

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.samplers import PruningSampler

torchvision_datasets()  # both libraries import torchvision: this makes their import work, too


def check_equal_epochs(sampler: PruningSampler, trainer: str) -> None:
    """Check that all epochs of a sampler have the same length.

    A trainer counts the steps of the first epoch and computes the length of the run, and its learning-rate schedule,
    from that.

    Args:
        sampler: the sampler to check.
        trainer: name of the trainer, for the message.

    Raises:
        ValueError: if the sampler has a warm-up or an annealing.

    Example:
        >>> from dynprune_lib import UCB
        >>> check_equal_epochs(UCB(8, prune_rate=0.5), "Trainer")
        >>> check_equal_epochs(UCB(8, prune_rate=0.5, warm_up=1), "Trainer")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: Trainer assumes that all epochs have as many steps as the first: ...
    """
    if sampler.warm_up or sampler.anneal_from is not None:
        raise ValueError(
            f"{trainer} assumes that all epochs have as many steps as the first: do not use warm_up"
            f" ({sampler.warm_up}) or anneal_from ({sampler.anneal_from}), or write your own training loop"
        )
