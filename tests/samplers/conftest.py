import pytest
import torch

from dynprune_lib.samplers import RCAP, SAMPLERS, UCB, StaticScored


@pytest.fixture(params=sorted(SAMPLERS))
def make(request):
    """Make a sampler of every class in SAMPLERS: a new sampler is tested by being added there."""
    name = request.param

    return lambda num_samples=40, prune_rate=0.5, **settings: make_sampler(name, num_samples, prune_rate, **settings)


def make_sampler(name, num_samples=40, prune_rate=0.5, **settings):
    if issubclass(SAMPLERS[name], StaticScored):
        settings["scores"] = losses_of(torch.arange(num_samples), 0) if isinstance(num_samples, int) else None
    if issubclass(SAMPLERS[name], RCAP):
        settings["labels"] = torch.arange(num_samples) % 3 if isinstance(num_samples, int) else None
    return SAMPLERS[name](num_samples, 0.0 if name == "full" else prune_rate, **settings)


@pytest.fixture
def make_one():
    """Make the sampler on which code is tested that no sampler overrides."""
    return lambda num_samples=40, prune_rate=0.5, **settings: UCB(num_samples, prune_rate, **settings)


@pytest.fixture
def is_full(make):
    return make().prune_rate == 0.0


@pytest.fixture
def run_epoch():
    """Run an epoch without a model: the losses depend only on the sample and the epoch."""

    def run(sampler, epoch, batch_size=7):
        sampler.set_epoch(epoch)
        order = list(sampler)
        for index in torch.tensor(order).split(batch_size):
            losses = losses_of(index, epoch)
            sampler.update(index, losses, scores=losses)  # also of samplers that are defined for another score
        return order

    return run


def losses_of(index, epoch):
    return ((index * 37 + epoch * 11) % 101).float() / 50


def assert_same(state, other):
    assert state.keys() == other.keys()
    for name, value in state.items():
        if isinstance(value, dict):
            assert_same(value, other[name])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, other[name]), name
        else:
            assert value == other[name], name
