"""The samplers without scores: everything, one random subset, new random subsets, and passes over shuffled data."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import RS2, DynamicRandom, Full, StaticRandom
from tests.samplers.conftest import how_often, kept_at


def subsets(sampler, epochs):
    return [frozenset(kept_at(sampler, epoch)) for epoch in range(epochs)]


def test_static_random_keeps_one_subset_and_not_the_first_samples():
    found = subsets(StaticRandom(100, 0.5, seed=1), 5)
    assert len(set(found)) == 1
    assert found[0] != frozenset(range(50))


def test_dynamic_random_draws_a_new_subset_every_period():
    assert len(set(subsets(DynamicRandom(100, 0.5), 5))) == 5
    assert len(set(subsets(DynamicRandom(100, 0.5, period=2), 6))) == 3


def test_dynamic_random_is_uniform():
    counts = how_often(partial(DynamicRandom, 50, 0.8), 1000)
    assert (counts - 200).abs().max() < 5 * 12.6  # expectation 200, standard deviation 12.6


def test_full_refuses_a_prune_rate():
    with pytest.raises(ValueError, match=r"prune_rate is 0\.5: Full keeps all samples, so it must be 0"):
        Full(40, 0.5)


@settings(max_examples=60, deadline=None)
@given(
    num_samples=st.integers(2, 60),
    rate=st.floats(0, 0.95),
    seed=st.integers(0, 99),
    warm_up=st.integers(0, 2),
    period=st.integers(1, 2),
)
def test_every_sample_is_used_before_any_is_repeated(num_samples, rate, seed, warm_up, period):
    if round((1 - rate) * num_samples) == 0:
        return
    sampler = RS2(num_samples, rate, seed=seed, warm_up=warm_up, period=period)
    times = torch.zeros(num_samples, dtype=torch.int64)
    for epoch in range(warm_up, warm_up + 12 * period, period):
        sampler.set_epoch(epoch)
        subset = sampler.subset()
        assert len(subset.unique()) == sampler.num_kept
        times[subset] += 1
        assert times.max() - times.min() <= 1


def test_every_pass_has_its_own_order():
    halves = subsets(RS2(40, 0.5), 6)
    assert all(halves[epoch] | halves[epoch + 1] == set(range(40)) for epoch in (0, 2, 4))
    assert len(set(halves)) == 6


def test_an_epoch_that_two_passes_share_is_uniform():
    counts = how_often(partial(RS2, 10, 0.3), 600)  # the second of 7 has the 3 samples that remain and 4 others
    assert abs(counts / 600 - 0.7).max() < 5 * (0.7 * 0.3 / 600) ** 0.5


def test_jumping_between_epochs_selects_the_same_subsets():
    through, jumping = subsets(RS2(30, 0.6, seed=3), 9), RS2(30, 0.6, seed=3)
    for epoch in (8, 2, 5, 0, 7):
        assert kept_at(jumping, epoch) == through[epoch]
