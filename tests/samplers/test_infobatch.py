"""InfoBatch: which samples are skipped, with which probability, and that the weights correct for it."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dynprune_lib import InfoBatch

# six of ten losses are below the mean, 2.5
LOSSES = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def trained(rate, losses=LOSSES, **options):
    """Return a sampler that has recorded the losses, and its subset."""
    sampler = InfoBatch(len(losses), rate, **options)
    sampler.observe(torch.arange(len(losses)), losses)
    sampler.set_epoch(1)
    return sampler, sampler.subset()


def weights_of(sampler, subset):
    return [round(sampler.mean_loss(subset[i : i + 1], torch.ones(1)).item(), 4) for i in range(len(subset))]


def test_an_epoch_of_the_paper_by_hand():
    for seed in range(20):
        sampler, subset = trained(0.3, seed=seed)  # 7 = 4 + half of 6: as long as in the paper
        assert {6, 7, 8, 9} <= set(subset.tolist())
        assert weights_of(sampler, subset) == [1.4] * 3 + [0.7] * 4  # 2 and 1 over their mean, 10 / 7


def test_a_longer_epoch_keeps_more_well_learned_samples():
    sampler, subset = trained(0.1)  # 9 = 4 + 5 of 6: r is 1/6
    assert {6, 7, 8, 9} <= set(subset.tolist())
    assert weights_of(sampler, subset) == [1.08] * 5 + [0.9] * 4  # 1.2 and 1 over their mean, 10 / 9


def test_a_shorter_epoch_is_a_random_part_of_that_of_the_paper():
    counts = torch.zeros(10)
    for seed in range(2_000):
        sampler, subset = trained(0.7, seed=seed)  # 3 of those 7
        counts[subset] += 1
        paper = torch.tensor([2.0 if sample < 6 else 1.0 for sample in subset.tolist()])
        assert weights_of(sampler, subset) == pytest.approx((paper / paper.mean()).tolist(), abs=1e-4)
    expected = torch.tensor([3 / 7 / 2] * 6 + [3 / 7] * 4)
    assert (abs(counts / 2_000 - expected) < 5 * (expected * (1 - expected) / 2_000).sqrt()).all()


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(rate=st.sampled_from([0.05, 0.1, 0.2]), r=st.sampled_from([0.5, 0.75]), seed=st.integers(0, 99))
def test_the_weighted_mean_of_an_epoch_is_unbiased(rate, r, seed):  # if the epoch is not a part of that of the paper
    generator = torch.Generator().manual_seed(seed)
    losses = torch.rand(40, generator=generator, dtype=torch.float64) ** 3
    values = torch.rand(40, generator=generator, dtype=torch.float64)
    num_learned = int((losses.float() < losses.float().mean()).sum())
    assume(40 - num_learned + round((1 - r) * num_learned) <= round((1 - rate) * 40))
    means = []
    for draw in range(400):
        sampler, kept = trained(rate, losses, r=r, seed=400 * seed + draw)
        means.append(sampler.mean_loss(kept, values[kept]))
    means = torch.stack(means)
    assert abs(means.mean() - values.mean()) <= 5 * means.std() / 400**0.5 + 1e-6


@pytest.mark.parametrize("anneal_from", [1, 5, 7])
def test_weights_are_one_during_annealing(anneal_from, run_epoch):
    sampler = InfoBatch(40, 0.3, anneal_from=anneal_from)
    for epoch in range(8):
        run_epoch(sampler, epoch)
        weights = set(weights_of(sampler, sampler.subset()))
        assert (weights == {1}) == (epoch >= anneal_from or epoch == 0)  # epoch 0 has no losses to select by


def test_samples_without_a_loss_count_as_not_learned():
    sampler = InfoBatch(10, 0.3)
    sampler.observe(torch.arange(8), LOSSES[:8])  # five are below the mean, 1.75
    sampler.set_epoch(1)
    assert {5, 6, 7, 8, 9} <= set(sampler.subset().tolist())


def test_weights_are_resumed():
    sampler, subset = trained(0.3)
    resumed = InfoBatch(10, 0.3)
    resumed.load_state_dict(sampler.state_dict())
    assert weights_of(resumed, subset) == weights_of(sampler, subset)
