import pytest
import torch

from dynprune_lib.samplers import SAMPLERS, StaticScored


@pytest.fixture(params=sorted(SAMPLERS))
def make(request):
    """Makes a sampler of each class in the library: a new one is held to the contract by being listed there."""
    name = request.param

    def make_sampler(num_samples=40, prune_rate=0.5, **settings):
        if issubclass(SAMPLERS[name], StaticScored):
            seed = settings.get("seed", 0)  # other seeds, other scores: every draw of these samplers is in them
            count = num_samples if isinstance(num_samples, int) else 40
            draws = torch.Generator().manual_seed(seed if isinstance(seed, int) and seed >= 0 else 0)
            settings["scores"] = torch.rand(count, generator=draws)
        return SAMPLERS[name](num_samples, 0.0 if name == "full" else prune_rate, **settings)

    return make_sampler


@pytest.fixture
def is_full(make):
    return make().prune_rate == 0.0


@pytest.fixture
def run_epoch():
    """Trains an epoch in name: losses that depend on the sample and the epoch alone."""

    def run(sampler, epoch, batch_size=7):
        sampler.set_epoch(epoch)
        order = list(sampler)
        for index in torch.tensor(order).split(batch_size):
            sampler.update(index, losses_of(index, epoch))
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
