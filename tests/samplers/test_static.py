"""The static samplers: the highest scores, random ties, strata and groups, and errors for wrong scores."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import StaticScored
from dynprune_lib.samplers import COWERAGE, AlwaysFirst, WithoutGroup
from tests.samplers.conftest import kept_at


def test_the_highest_scores_are_kept_for_the_whole_run():
    sampler = StaticScored(6, 0.5, scores=torch.tensor([3.0, 1.0, 5.0, 0.0, 4.0, 2.0]))
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert sampler.subset().tolist() == [0, 2, 4]
        sampler.update(torch.tensor([0, 2, 4]), torch.zeros(3))


def test_the_seed_breaks_ties():
    scores = torch.tensor([1.0] * 4 + [0.0] * 16)
    subsets = [StaticScored(20, 0.5, scores=scores, seed=seed).subset().tolist() for seed in (0, 0, 1)]
    assert subsets[0] == subsets[1] != subsets[2]
    assert all(subset[:4] == [0, 1, 2, 3] for subset in subsets)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (None, "StaticScored keeps the samples with the highest scores: pass scores"),
        (torch.ones(7), r"scores has shape \(7,\) and the data set 6 samples: .*are the scores of another data set"),
        (torch.ones(6, 1), r"scores has shape \(6, 1\)"),
        (torch.tensor([1.0, 2.0, float("nan"), 0.0, 0.0, 0.0]), "1 of the 6 scores are NaN"),
    ],
)
def test_refuses_other_than_one_score_per_sample(scores, message):
    with pytest.raises(ValueError, match=message):
        StaticScored(6, 0.5, scores=scores)


def test_a_state_of_other_scores_is_refused():
    state = StaticScored(6, 0.5, scores=torch.arange(6)).state_dict()
    with pytest.raises(ValueError, match="this state has scores_digest = "):
        StaticScored(6, 0.5, scores=torch.arange(6).flip(0)).load_state_dict(state)


GROUP_OF = torch.tensor([0] * 10 + [1] * 20 + [2] * 10)  # never, sometimes, always


@pytest.mark.parametrize(("group", "dropped"), [("never", 0), ("sometimes", 1), ("always", 2)])
def test_samples_are_dropped_from_a_group_first(group, dropped):
    kept = WithoutGroup(40, 0.25, scores=GROUP_OF, group=group).subset()
    size = int((dropped == GROUP_OF).sum())
    assert (GROUP_OF[kept] == dropped).sum() == size - 10
    few = WithoutGroup(40, 0.75, scores=GROUP_OF, group=group).subset()  # 30 are dropped: the whole group, and others
    assert (GROUP_OF[few] == dropped).sum() == 0
    others = WithoutGroup(40, 0.75, scores=GROUP_OF, group=group, seed=1).subset()
    assert others.tolist() != few.tolist()


@pytest.mark.parametrize("redraw", [False, True])
def test_always_comes_first_and_sometimes_fills_up(redraw):
    sampler = AlwaysFirst(40, 0.5, scores=GROUP_OF, redraw=redraw, period=2)
    epochs = [kept_at(sampler, epoch) for epoch in range(8)]
    for kept in epochs:
        assert set(range(30, 40)) <= kept
        assert not kept & set(range(10))
    assert epochs[0] == epochs[1]
    assert len(set(map(frozenset, epochs))) == (4 if redraw else 1)


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
