"""SeTa: optimal clusters in one dimension, and the window that slides over them."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import SeTa
from dynprune_lib.samplers.clusters import BINS, cluster_cuts


def spread(values, cuts):
    """Return the sum of squared distances from the group means."""
    group = np.searchsorted(cuts, values)
    return sum(((values[group == each] - values[group == each].mean()) ** 2).sum() for each in np.unique(group))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(1, 4))
def test_no_split_is_better(values, groups):
    values = np.array(values, dtype=np.float64)
    edges = np.unique(values)
    splits = itertools.combinations_with_replacement(edges, groups - 1)
    best = min(spread(values, np.array(cuts)) for cuts in splits)
    cuts = cluster_cuts(values, groups)
    assert cuts.shape == (groups - 1,)
    assert (np.diff(cuts) >= 0).all()
    assert spread(values, cuts) == pytest.approx(best, abs=1e-9)


def test_groups_of_many_losses_are_as_good_as_those_of_kmeans():
    losses = np.random.default_rng(0).gamma(0.3, 2.0, size=20 * BINS).astype(np.float32)
    model = pytest.importorskip("sklearn.cluster").KMeans(5, n_init=5, random_state=0).fit(losses[:, None])
    assert spread(losses, cluster_cuts(losses, 5)) <= model.inertia_ * 1.001


def test_the_window_slides_from_easy_to_hard_and_restarts():
    losses = torch.tensor([0.0, 10.0, 20.0, 30.0]).repeat_interleave(5) + torch.arange(20) / 100
    windows = []
    for epoch in range(1, 7):
        sampler = SeTa(20, 0.5, groups=4, window=0.5)
        sampler.observe(torch.arange(20), losses)
        sampler.set_epoch(epoch)
        windows.append(sorted({sample // 5 for sample in sampler.subset().tolist()}))
    assert windows == [[1, 2], [2, 3], [0, 1], [1, 2], [2, 3], [0, 1]]


def test_a_window_with_too_many_samples_is_drawn_from_uniformly():
    counts = torch.zeros(12)
    for seed in range(1_000):
        sampler = SeTa(12, 0.75, groups=3, window=0.7, seed=seed)
        sampler.observe(torch.arange(12), torch.tensor([0.0, 5.0, 9.0]).repeat_interleave(4))
        sampler.set_epoch(1)  # the window is at the hard end: 3 of its 8 samples are kept
        counts[sampler.subset()] += 1
    assert counts[:4].tolist() == [0] * 4
    assert abs(counts[4:] / 1_000 - 3 / 8).max() < 5 * (3 / 8 * 5 / 8 / 1_000) ** 0.5


def test_a_window_with_too_few_samples_is_filled_up():
    sampler = SeTa(12, 0.25, groups=3, window=0.3)
    sampler.observe(torch.arange(12), torch.tensor([0.0, 5.0, 9.0]).repeat_interleave(4))
    sampler.set_epoch(2)
    assert {8, 9, 10, 11} <= set(sampler.subset().tolist())
    assert len(sampler.subset()) == 9


def test_samples_without_a_score_are_in_every_window():
    sampler = SeTa(10, 0.5, groups=2, window=0.5)
    sampler.observe(torch.arange(8), torch.tensor([0.0] * 5 + [9.0] * 3))
    sampler.set_epoch(1)
    assert sampler.subset().tolist() == [5, 6, 7, 8, 9]


def test_random_subsets_at_the_end():
    kept = set()
    for epoch in range(4, 8):
        sampler = SeTa(10, 0.5, groups=2, window=0.5, random_from=4)
        sampler.observe(torch.arange(10), torch.tensor([0.0] * 5 + [9.0] * 5))
        sampler.set_epoch(epoch)
        kept.add(tuple(sampler.subset().tolist()))
    assert len(kept) == 4
    assert not kept & {(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)}


def test_the_rule_wants_no_share_of_a_random_subset():
    sampler = SeTa(10, 0.5, groups=2, window=0.5, random_from=2)
    sampler.observe(torch.arange(10), torch.tensor([0.0] * 4 + [9.0] * 6))
    wanted = []
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        wanted.append(sampler.wanted)
    assert wanted == [0.6, None]
