"""RePB: by hand, and against the rule of its source, which remembers what was left out."""

import random

import pytest
import torch

from dynprune_lib import RePB


def test_means_are_those_of_batches():
    sampler = RePB(5, 0.0, r=0.5, fill=False)
    sampler.observe(torch.tensor([0, 1]), torch.tensor([1.0, 3.0]))
    sampler.observe(torch.tensor([2, 3, 4]), torch.tensor([4.0, 5.0, 9.0]))
    assert sampler.memory["count"].tolist() == [-1, 1, -1, -1, 1]  # negative: below 2, or below 6
    sampler.observe(torch.tensor([0, 1, 3]), torch.tensor([5.0, 1.0, 3.0]))
    assert sampler.memory["count"].tolist() == [2, -2, -1, 2, 1]


@pytest.mark.filterwarnings("ignore:.*not finite")
def test_losses_that_are_not_finite_are_no_part_of_a_mean():
    sampler = RePB(4, 0.0, fill=False)
    sampler.observe(torch.arange(4), torch.tensor([1.0, torch.nan, 3.0, torch.inf]))
    sampler.observe(torch.tensor([1]), torch.tensor([torch.nan]))
    assert sampler.memory["count"].tolist() == [-1, 0, 1, 0]


def test_weights_are_epochs_over_selections():
    sampler = RePB(4, 0.0, r=0.75, fill=False)
    for samples in ([0, 1, 2, 3], [0, 1, 2], [0, 1], [0]):  # sample 3 was trained on in one of four epochs
        sampler.observe(torch.tensor(samples), torch.ones(len(samples)))
    sampler.set_epoch(4)
    assert sampler.subset().tolist() == [0, 1, 2, 3]  # no loss is below the mean of its batch
    weights = [sampler.mean_loss(torch.tensor([sample]), torch.ones(1)).item() for sample in range(4)]
    assert weights == pytest.approx([4 / 4, 4 / 3, 4 / 2, 4 / 1])
    sampler.set_epoch(40)
    assert sampler.mean_loss(torch.tensor([0]), torch.ones(1)).item() == 4  # not 40 / 4: at most 1 / (1 - r)


def test_the_share_that_is_kept_is_that_of_the_source():
    """A sample below the mean is left out of the next epoch with probability r, and one that was left out returns with
    probability 1 - r."""
    number, r, is_below = 4_000, 0.7, torch.arange(4_000) % 4 > 0
    losses, draw, dropped = torch.where(is_below, 0.0, 1.0), random.Random(0), set()
    sampler, of_source, ours = RePB(number, 0.0, r=r, fill=False), [], []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        kept = sampler.subset()
        sampler.observe(kept, losses[kept])
        ours.append(len(kept))
        of_source.append(number - len(dropped))
        trained = set(range(number)) - dropped
        dropped = {i for i in dropped if draw.random() < r} | {i for i in trained if is_below[i] and draw.random() < r}
    assert ours[0] == of_source[0] == number
    assert ours[1:] == pytest.approx(of_source[1:], abs=5 * (2 * number * 0.25) ** 0.5)
    assert ours[1:] == pytest.approx([number * (0.25 + 0.75 * 0.3)] * 5, abs=5 * (number * 0.25) ** 0.5)


def test_without_leaving_out_the_epochs_are_full():
    sampler = RePB(20, 0.0, r=0.0, fill=False)
    sampler.observe(torch.arange(20), torch.rand(20))
    sampler.set_epoch(1)
    assert len(sampler) == 20
