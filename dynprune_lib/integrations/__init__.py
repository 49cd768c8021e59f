"""Samplers in other people's trainers, one small adapter a library: `pip install dynprune[trainers]`."""

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.samplers import PruningSampler

torchvision_datasets()  # both libraries import torchvision, which is in order from here on


def check_constant(sampler: PruningSampler, trainer: str) -> None:
    """Raises ValueError if the sampler's epochs differ in length: a trainer counts the steps of the first one and takes
    all the others to have as many."""
    if sampler.warm_up or sampler.anneal_from is not None:
        raise ValueError(
            f"{trainer} takes all epochs to have as many steps as the first, so warm_up ({sampler.warm_up}) and"
            f" anneal_from ({sampler.anneal_from}) would go wrong: leave them off, or write the loop yourself"
        )
