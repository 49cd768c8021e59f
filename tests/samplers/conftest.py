import pytest
import torch
from hypothesis import strategies as st

from dynprune_lib.samplers import RCAP, SAMPLERS, UCB, StaticScored
from dynprune_lib.testing import OF_SAMPLES
from dynprune_lib.testing import _losses as losses_of

ANY_SCORE = st.one_of(st.floats(width=32), st.sampled_from([0.0, 3e38, -3e38, 1e-45, torch.nan, torch.inf, -torch.inf]))


def of_samples(name, num_samples):
    """Return the scores or labels that a sampler needs."""
    wanted = {"scores": StaticScored, "labels": RCAP}
    return {each: OF_SAMPLES[each](num_samples) for each in wanted if issubclass(SAMPLERS[name], wanted[each])}


def make_sampler(name, num_samples=40, prune_rate=0.5, **settings):
    """Return any sampler of the library."""
    settings |= of_samples(name, num_samples)
    return SAMPLERS[name](num_samples, 0.0 if name == "full" else prune_rate, **settings)


@pytest.fixture
def make_one():
    """Make the sampler on which code is tested that no sampler overrides."""
    return lambda num_samples=40, prune_rate=0.5, **settings: UCB(num_samples, prune_rate, **settings)


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


def assert_same(state, other):
    assert state.keys() == other.keys()
    for name, value in state.items():
        if isinstance(value, dict):
            assert_same(value, other[name])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, other[name]), name
        else:
            assert value == other[name], name


def observe(sampler, *scores):
    """Record scores of all samples, once or several times."""
    for values in scores:
        sampler.observe(torch.arange(sampler.num_samples), torch.as_tensor(values))


def kept_at(sampler, epoch):
    sampler.set_epoch(epoch)
    return set(sampler.subset().tolist())


def how_often(make, draws, *scores):
    """Return how often each sample is kept after these scores, by samplers of so many seeds."""
    counts = torch.zeros(make(seed=0).num_samples)
    for seed in range(draws):
        sampler = make(seed=seed)
        observe(sampler, *scores)
        counts[list(kept_at(sampler, 1))] += 1
    return counts
