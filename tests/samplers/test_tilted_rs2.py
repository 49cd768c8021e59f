"""Tilted RS2: by hand, and the limits that its description states."""

import math

import pytest
import torch

from dynprune_lib import TiltedRS2

NUM = 12


def train(sampler, epochs, losses):
    """Return the subsets of all epochs, when sample i always has the loss `losses[i]`."""
    subsets = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        index = sampler.indices()
        sampler.update(index, losses[index])
        subsets.append(set(index.tolist()))
    return subsets


def test_every_sample_is_used_before_any_is_repeated():
    subsets = train(TiltedRS2(NUM, 0.75), 4, torch.arange(NUM).float())
    assert set.union(*subsets) == set(range(NUM))
    assert sum(map(len, subsets)) == NUM


def test_waiting_and_rank_by_hand():
    sampler = TiltedRS2(4, 0.5, tilt=0.75)
    sampler.observe(torch.tensor([0, 1, 2, 3]), torch.tensor([4.0, 3.0, 2.0, 1.0]))  # ranks 0.75, 0.5, 0.25, 0
    sampler.set_epoch(1)  # all have waited half a pass: the two hardest are kept
    assert set(sampler.subset().tolist()) == {0, 1}
    sampler.observe(torch.tensor([0, 1]), torch.tensor([4.0, 3.0]))
    # 0: 0.5 + 0.75 * 0.75 = 1.0625; 1: 0.5 + 0.75 * 0.5 = 0.875; 2: 1 + 0.75 * 0.25 = 1.1875; 3: 1
    sampler.set_epoch(2)
    assert set(sampler.subset().tolist()) == {0, 2}


def test_harder_samples_are_kept_more_often_and_the_wait_is_bounded():
    num, epochs, rate = 1_000, 400, 0.95
    sampler, losses = TiltedRS2(num, rate), torch.linspace(0, 1, num)
    subsets = train(sampler, epochs, losses)
    came = torch.zeros(epochs, num, dtype=torch.bool)
    for epoch, subset in enumerate(subsets):
        came[epoch, list(subset)] = True
    easy, hard = came.sum(0)[: num // 10].float().mean(), came.sum(0)[-num // 10 :].float().mean()
    longest_wait = 1 / (1 - math.exp(-1))  # in passes: the hardest tenth waits 0.95 less, the easiest 0.05 less
    assert hard / easy == pytest.approx((longest_wait - 0.05) / (longest_wait - 0.95), rel=0.05)
    longest = max(len(run) for sample in came.T for run in "".join("01"[int(x)] for x in sample).split("1"))
    assert longest <= longest_wait / (1 - rate) + 1


def test_without_a_tilt_scores_have_no_influence():
    one, two = TiltedRS2(NUM, 0.5, tilt=0.0), TiltedRS2(NUM, 0.5, tilt=0.0)
    assert train(one, 6, torch.rand(NUM)) == train(two, 6, torch.rand(NUM))


@pytest.mark.parametrize("tilt", [-0.1, float("nan")])
def test_refuses_a_tilt_below_zero(tilt):
    with pytest.raises(ValueError, match=f"tilt is {tilt}: "):
        TiltedRS2(NUM, tilt=tilt)
