"""OrderDP: by hand, and its two limits."""

import torch

from dynprune_lib import OrderDP


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
