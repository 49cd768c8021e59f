"""Static scores of early losses: what is followed against NumPy, and strata against counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib.samplers import COWERAGE, EarlyLosses


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3), min_size=1, max_size=8), st.data())
def test_early_losses_against_numpy(epochs, data):
    observer, history = EarlyLosses(3), np.array(epochs)
    is_missing = np.array(data.draw(st.lists(st.booleans(), min_size=history.size, max_size=history.size)))
    history[is_missing.reshape(history.shape)] = np.nan  # a loss that is not finite is not recorded
    for losses in history:
        observer.observe(torch.arange(3), torch.tensor(losses, dtype=torch.float32))
    for sample, losses in enumerate(history.T):
        seen = losses[~np.isnan(losses)]
        variance = seen.var(ddof=1) if len(seen) > 1 else 0.0
        assert observer.variances()[sample].item() == pytest.approx(variance, rel=1e-3, abs=1e-3)
        assert observer.memory["last"][sample].item() == pytest.approx(seen[-1] if len(seen) else 0.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(20, 60), st.integers(1, 12), st.floats(0.05, 0.9), st.integers(0, 99))
def test_cowerage_keeps_the_same_number_of_each_stratum(number, strata, rate, seed):
    losses = torch.rand(number, generator=torch.Generator().manual_seed(seed))
    kept = COWERAGE(number, prune_rate=rate, scores=losses, strata=strata, seed=seed).subset().long()
    stratum = torch.empty(number, dtype=torch.long)
    for position, members in enumerate(losses.argsort().tensor_split(strata)):
        stratum[members] = position
    sizes, counts = stratum.bincount(minlength=strata), stratum[kept].bincount(minlength=strata)
    least = counts.max() - 1
    assert (counts >= torch.minimum(sizes, least)).all()  # a stratum that is used up cannot give more


def test_cowerage_draws_at_random_within_a_stratum():
    losses = torch.arange(400.0)
    kept = [COWERAGE(400, prune_rate=0.5, scores=losses, seed=seed).subset() for seed in (0, 1)]
    assert 70 <= len(np.intersect1d(*kept)) <= 130  # 100 are expected of two independent halves
    equal = COWERAGE(400, prune_rate=0.5, scores=torch.zeros(400), strata=2).subset()
    assert 0.35 < (equal < 200).float().mean() < 0.65  # equal losses: at random
