"""Optimal clusters in one dimension, against all splits."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import SeTa
from dynprune_lib.samplers.clusters import BINS, cluster_cuts
from dynprune_lib.samplers.sampler import MAX_SCORE


def spread(values, cuts):
    """Return the sum of squared distances from the group means."""
    group = np.searchsorted(cuts, values)
    return sum(((values[group == each] - values[group == each].mean()) ** 2).sum() for each in np.unique(group))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(1, 4))
def test_no_split_is_better(values, groups):
    values = np.array(values, dtype=np.float64)
    splits = itertools.combinations_with_replacement(np.unique(values), groups - 1)
    cuts = cluster_cuts(values, groups)
    assert cuts.shape == (groups - 1,)
    assert (np.diff(cuts) >= 0).all()
    best = min(spread(values, np.array(each)) for each in splits)
    assert spread(values, cuts) == pytest.approx(best, abs=1e-9)


def test_groups_of_more_values_than_bins_are_found():
    losses = np.repeat([0.0, 0.3, 1.0, 9.0], BINS // 2) + np.random.default_rng(0).random(2 * BINS) / 10
    cuts = cluster_cuts(losses.astype(np.float32), 4)
    assert np.bincount(np.searchsorted(cuts, losses)).tolist() == [BINS // 2] * 4
    assert (np.abs(cuts - [0.1, 0.4, 1.1]) < 0.01).all()  # the upper ends of the groups


def test_as_many_values_as_bins_are_told_apart_exactly():
    losses = np.array([0.0] * (BINS - 2) + [1.0, 1.0005])  # nearer to each other than a bin is wide
    assert cluster_cuts(losses, 3).tolist() == [0, 1]


@pytest.mark.parametrize("scale", [1e-45, 1e-30, MAX_SCORE])
@pytest.mark.parametrize("num_samples", [40, 2 * BINS])
@pytest.mark.filterwarnings("error")
def test_seta_on_scores_of_any_scale(scale, num_samples):
    losses = (torch.arange(num_samples) % 2) * torch.tensor(scale)
    assert (np.diff(cluster_cuts(losses.numpy(), 3)) >= 0).all()
    sampler = SeTa(num_samples, 0.5, groups=2, window=0.5)
    for values in (losses, -losses, losses.flip(0) * 2 - scale, torch.full((num_samples,), scale)):
        sampler.observe(torch.arange(num_samples), values)
        sampler.set_epoch(sampler.epoch + 1)
        assert len(set(sampler)) == num_samples // 2
