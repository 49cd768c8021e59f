"""Rankings of last scores: by hand, and the draws of OrderDP and RCAP against what they should be on average."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import RCAP, DynamicEL2N, InstanceEarlyStopping, MolPeg, OrderDP, ProgressiveDropout
from dynprune_lib.samplers.ranked import allocate
from tests.samplers.conftest import kept_at, observe


@pytest.mark.parametrize("make", [DynamicEL2N, MolPeg])
def test_the_highest_last_scores_are_kept(make):
    sampler = make(6, 0.5, warm_up=1)
    assert kept_at(sampler, 0) == set(range(6))
    observe(sampler, [0.1, 0.9, 0.3, 0.8, 0.2, 0.7])
    assert kept_at(sampler, 1) == {1, 3, 5}
    observe(sampler, [0.9, 0.1, 0.8, 0.2, 0.7, 0.3])  # only the last score counts
    assert kept_at(sampler, 2) == {0, 2, 4}


@pytest.mark.parametrize("make", [InstanceEarlyStopping, ProgressiveDropout, DynamicEL2N])
def test_samples_without_a_score_are_preferred(make):
    sampler = make(10, 0.8)
    for _ in range(3):
        sampler.observe(torch.arange(8), torch.zeros(8))
    assert kept_at(sampler, 1) == {8, 9}


# OrderDP -------------------------------------------------------------------------------------------------------------


def counts_of(at_random, draws=400):
    """Return how often each of 20 samples, in ascending order of their losses, was kept at 50 %."""
    counts = torch.zeros(20)
    for seed in range(draws):
        sampler = OrderDP(20, 0.5, at_random=at_random, seed=seed)
        sampler.observe(torch.arange(20), torch.arange(20.0))
        sampler.set_epoch(1)
        counts[sampler.subset()] += 1
    return counts


def test_without_a_draw_the_highest_losses_are_kept():
    assert counts_of(0.0, draws=5).tolist() == [0] * 10 + [5] * 10


def test_with_nothing_but_a_draw_the_subset_is_uniform():
    assert (counts_of(1.0) - 200).abs().max() < 5 * 10  # standard deviation 10


def test_the_draw_comes_first():
    counts = counts_of(0.4)  # 16 of 20 are drawn, and the highest 10 of them kept
    assert counts[:6].tolist() == [0] * 6  # six of the drawn are lower
    assert (counts[16:] - 320).abs().max() < 5 * 8  # the highest are kept if they are drawn; standard deviation 8
    assert (counts[10:] > counts[6]).all()


def test_samples_without_a_loss_come_first():
    sampler = OrderDP(10, 0.8)  # skips 8, 6 of them at random: two of the four drawn are kept
    sampler.observe(torch.arange(2), torch.ones(2))
    sampler.set_epoch(1)
    assert set(sampler.subset().tolist()) <= set(range(2, 10))


# RCAP ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-6, 1e3), st.integers(1, 50)), min_size=1, max_size=12), st.data())
def test_classes_get_what_their_weight_says_or_all_they_have(classes, data):
    weights = torch.tensor([weight for weight, _ in classes], dtype=torch.float64)
    sizes = torch.tensor([size for _, size in classes])
    total = data.draw(st.integers(1, int(sizes.sum())))
    quotas = allocate(weights, sizes, total)
    assert quotas.sum() == total
    assert ((quotas >= 0) & (quotas <= sizes)).all()
    low, high = 0.0, 1e9  # of the number of samples per weight, which is the same in all classes that are large enough
    for _ in range(200):
        middle = (low + high) / 2
        too_few = (middle * weights).minimum(sizes).sum() < total
        low, high = (middle, high) if too_few else (low, middle)
    assert ((quotas - (high * weights).minimum(sizes)).abs() < 1 + 1e-6).all()


def trained(losses, labels, rate, **options):
    sampler = RCAP(len(losses), rate, labels=labels, **options)
    sampler.observe(torch.arange(len(losses)), losses)
    sampler.set_epoch(1)
    return sampler


def test_shares_by_hand():
    labels = torch.tensor([5] * 60 + [2] * 40)  # any integers
    sampler = trained(torch.tensor([0.1] * 60 + [0.6] * 40), labels, 0.7)
    # square roots of the summed losses, 6 and 24, are 1 to 2: 10 and 20 of 30
    assert labels[sampler.subset()].bincount().tolist() == [0, 0, 20, 0, 0, 10]


def test_a_small_class_is_kept_whole():
    labels = torch.tensor([0] * 90 + [1] * 10)
    sampler = trained(torch.tensor([0.001] * 90 + [0.69] * 10), labels, 0.5)
    assert labels[sampler.subset()].bincount().tolist() == [40, 10]


def test_losses_are_clipped_to_that_of_a_guess():
    labels = torch.tensor([0] * 50 + [1] * 50)
    losses = torch.tensor([math.log(2)] * 50 + [1e9] * 50)
    assert labels[trained(losses, labels, 0.5).subset()].bincount().tolist() == [25, 25]


def test_a_sample_is_drawn_with_a_probability_that_grows_with_its_loss():
    labels, losses = torch.arange(4) // 2, torch.tensor([0.0, 0.5, 0.0, 0.5])
    counts = torch.zeros(4)
    for seed in range(600):
        counts[trained(losses, labels, 0.5, beta=0.5, seed=seed).subset()] += 1
    low, high = 1 / (1 + math.e), math.e / (1 + math.e)  # exp(0 / 0.5) and exp(0.5 / 0.5)
    assert (counts / 600 - torch.tensor([low, high, low, high])).abs().max() < 5 * (low * high / 600) ** 0.5


@pytest.mark.parametrize(
    "labels", [None, [0] * 40, torch.zeros(40), torch.zeros(39, dtype=torch.long), torch.zeros(40, dtype=torch.cfloat)]
)
def test_labels_are_required(labels):
    with pytest.raises(ValueError, match="RCAP has a share for every class: pass labels, a tensor of 40 integers"):
        RCAP(40, labels=labels)
