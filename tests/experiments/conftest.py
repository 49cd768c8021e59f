import dataclasses

import pytest

from dynprune_lib.experiments.data import load_dataset
from dynprune_lib.experiments.runs import RunSpec


@pytest.fixture(scope="session")
def diabetes():
    return load_dataset("diabetes")


@pytest.fixture
def regression():
    """A run that takes a fraction of a second."""
    spec = RunSpec(dataset="diabetes", model="mlp", sampler="ucb", prune_rate=0.5, epochs=4, batch_size=32)
    return dataclasses.replace(spec, optimizer="adamw", learning_rate=0.003)
