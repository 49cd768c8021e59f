"""RCAP: the shares of the classes, and the draw within a class."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import RCAP
from dynprune_lib.samplers.ranked import allocate


@settings(max_examples=200, deadline=None)
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
    for seed in range(2_000):
        counts[trained(losses, labels, 0.5, beta=0.5, seed=seed).subset()] += 1
    low, high = 1 / (1 + math.e), math.e / (1 + math.e)  # exp(0 / 0.5) and exp(0.5 / 0.5)
    assert (counts / 2_000 - torch.tensor([low, high, low, high])).abs().max() < 5 * (low * high / 2_000) ** 0.5


@pytest.mark.parametrize(
    "labels", [None, [0] * 40, torch.zeros(40), torch.zeros(39, dtype=torch.long), torch.zeros(40, dtype=torch.cfloat)]
)
def test_labels_are_required(labels):
    with pytest.raises(ValueError, match="RCAP has a share for every class: pass labels, a tensor of 40 integers"):
        RCAP(40, labels=labels)
