"""Which samplers prefer wrong labels, whose losses stay high: their docstrings must say so."""

import inspect

import pytest
import torch

from dynprune_lib.samplers import SAMPLERS, StaticScored
from tests.samplers.conftest import make_sampler

# the second where accuracies were measured and show no loss
WARNINGS = ("Do not use it on data with wrong labels", "It prefers samples with wrong labels")
NUM, NUM_WRONG, EPOCHS = 1_000, 200, 20
OF_LOSSES = [
    name
    for name, sampler in SAMPLERS.items()
    if not issubclass(sampler, StaticScored) and sampler.required_score in (None, "loss", "el2n")
]


@pytest.mark.parametrize("name", OF_LOSSES)
def test_a_sampler_that_prefers_wrong_labels_warns_of_them(name):
    losses = torch.rand(NUM, generator=torch.Generator().manual_seed(0))
    losses[:NUM_WRONG] += 4
    sampler, num_wrong = make_sampler(name, NUM, 0.5), 0
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        index = sampler.indices()
        sampler.update(index, losses[index])
        num_wrong += int((index < NUM_WRONG).sum())
    prefers_them = num_wrong / (EPOCHS * len(sampler)) > 1.15 * NUM_WRONG / NUM
    assert any(warning in inspect.getdoc(SAMPLERS[name]) for warning in WARNINGS) == prefers_them
