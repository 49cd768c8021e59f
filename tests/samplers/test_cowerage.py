"""COWERAGE: strata against counts."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib.samplers import COWERAGE


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
