"""Rankings of last scores: by hand, and the draws of OrderDP and RCAP against what they should be on average."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import RCAP, DynamicEL2N, InstanceEarlyStopping, MolPeg, OrderDP, ProgressiveDropout
from dynprune_lib.samplers.ranked import allocate
from tests.samplers.conftest import how_often, kept_at, observe


@pytest.mark.parametrize("make", [DynamicEL2N, MolPeg])
def test_the_highest_last_scores_are_kept(make):
    sampler = make(6, 0.5, warm_up=1)
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


def test_the_draw_comes_first_and_of_what_is_drawn_the_highest_are_kept():
    def counts_of(at_random, draws=200):  # of 20 samples in ascending order of their losses
        return how_often(partial(OrderDP, 20, 0.5, at_random=at_random), draws, torch.arange(20.0))

    assert counts_of(0.0, draws=5).tolist() == [0] * 10 + [5] * 10
    assert (counts_of(1.0) - 100).abs().max() < 5 * 7  # a random subset; standard deviation 7
    counts = counts_of(0.4)  # 16 of 20 are drawn, and the highest 10 of them kept
    assert counts[:6].tolist() == [0] * 6  # six of the drawn are lower
    assert (counts[16:] - 160).abs().max() < 5 * 5.7  # the highest are kept if they are drawn; standard deviation 5.7
    assert (counts[10:] > counts[6]).all()


def test_samples_without_a_loss_come_first():
    sampler = OrderDP(10, 0.8)  # skips 8, 6 of them at random: two of the four drawn are kept
    sampler.observe(torch.arange(2), torch.ones(2))
    assert kept_at(sampler, 1) <= set(range(2, 10))


# RCAP ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-6, 1e3), st.integers(1, 50)), min_size=1, max_size=12), st.data())
def test_classes_get_what_their_weight_says_or_all_they_have(classes, data):
    weights = torch.tensor([weight for weight, _ in classes], dtype=torch.float64)
    sizes = torch.tensor([size for _, size in classes])
    total = data.draw(st.integers(1, int(sizes.sum())))
    quotas = allocate(weights, sizes, total)
    assert quotas.sum() == total
    assert ((quotas >= 0) & (quotas <= sizes)).all()
    low, high = 0.0, 1e9  # of the number of samples per weight, which is the same in all classes that are large enough
    for _ in range(100):
        middle = (low + high) / 2
        too_few = (middle * weights).minimum(sizes).sum() < total
        low, high = (middle, high) if too_few else (low, middle)
    assert ((quotas - (high * weights).minimum(sizes)).abs() < 1 + 1e-6).all()


@pytest.mark.parametrize(
    ("sizes", "losses", "rate", "kept"),
    [
        # square roots of the summed losses, 6 and 24, are 1 to 2: 10 and 20 of 30
        ([60, 40], [0.1, 0.6], 0.7, [10, 20]),
        ([90, 10], [0.001, 0.69], 0.5, [40, 10]),  # a small class is kept whole
        ([50, 50], [math.log(2), 1e9], 0.5, [25, 25]),  # clipped to the loss of a guess
    ],
)
def test_shares_by_hand(sizes, losses, rate, kept):
    sizes = torch.tensor(sizes)
    labels = torch.tensor([5, 2]).repeat_interleave(sizes)  # any integers
    sampler = RCAP(100, rate, labels=labels)
    observe(sampler, torch.tensor(losses).repeat_interleave(sizes))
    sampler.set_epoch(1)
    assert labels[sampler.subset()].bincount().tolist() == [0, 0, kept[1], 0, 0, kept[0]]


def test_a_sample_is_drawn_with_a_probability_that_grows_with_its_loss():
    counts = how_often(partial(RCAP, 4, 0.5, labels=torch.arange(4) // 2, beta=0.5), 400, [0.0, 0.5, 0.0, 0.5])
    low, high = 1 / (1 + math.e), math.e / (1 + math.e)  # exp(0 / 0.5) and exp(0.5 / 0.5)
    assert (counts / 400 - torch.tensor([low, high, low, high])).abs().max() < 5 * (low * high / 400) ** 0.5


def test_labels_are_required():
    for labels in (None, [0] * 40, torch.zeros(40), torch.zeros(39).long(), torch.zeros(40, dtype=torch.cfloat)):
        with pytest.raises(ValueError, match="RCAP has a share for every class: pass labels, a tensor of 40 integers"):
            RCAP(40, labels=labels)
