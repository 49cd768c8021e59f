"""The samplers without scores: everything, random subsets, and passes over shuffled data."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import RS2, DynamicRandom, Full
from tests.samplers.conftest import how_often, kept_at


@pytest.mark.parametrize(("make", "share"), [(partial(DynamicRandom, 20, 0.8), 0.2), (partial(RS2, 10, 0.3), 0.7)])
def test_subsets_are_uniform(make, share):  # an epoch of RS2 that two passes share: 3 samples remain, 4 are others
    assert abs(how_often(make, 600) / 600 - share).max() < 5 * (share * (1 - share) / 600) ** 0.5


def test_full_refuses_a_prune_rate():
    with pytest.raises(ValueError, match=r"prune_rate is 0\.5: Full keeps all samples, so it must be 0"):
        Full(40, 0.5)


@settings(max_examples=40, deadline=None)
@given(
    num_samples=st.integers(11, 60),
    rate=st.floats(0, 0.95),
    seed=st.integers(0, 99),
    warm_up=st.integers(0, 2),
    period=st.integers(1, 2),
)
def test_every_sample_is_used_before_any_is_repeated(num_samples, rate, seed, warm_up, period):
    sampler = RS2(num_samples, rate, seed=seed, warm_up=warm_up, period=period)
    times = torch.zeros(num_samples, dtype=torch.int64)
    for epoch in range(warm_up, warm_up + 12 * period, period):
        kept = kept_at(sampler, epoch)
        assert len(kept) == sampler.num_kept
        times[list(kept)] += 1
        assert times.max() - times.min() <= 1


def test_every_pass_has_its_own_order():
    sampler = RS2(40, 0.5)
    halves = [frozenset(kept_at(sampler, epoch)) for epoch in range(6)]
    assert all(halves[epoch] | halves[epoch + 1] == set(range(40)) for epoch in (0, 2, 4))
    assert len(set(halves)) == 6
