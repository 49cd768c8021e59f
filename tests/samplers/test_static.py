"""The static samplers: random ties, strata and groups, and errors for wrong scores."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import StaticScored
from dynprune_lib.samplers import COWERAGE, AlwaysFirst, WithoutGroup
from tests.samplers.conftest import kept_at, observe


def test_the_highest_scores_are_kept_for_the_whole_run_and_the_seed_breaks_ties():
    scores = torch.tensor([0.0] * 16 + [1.0] * 4)
    samplers = [StaticScored(20, 0.5, scores=scores, seed=seed) for seed in (0, 0, 1)]
    subsets = [kept_at(sampler, 0) for sampler in samplers]
    assert subsets[0] == subsets[1] != subsets[2]
    assert all(subset >= {16, 17, 18, 19} for subset in subsets)
    observe(samplers[0], scores.flip(0))
    assert kept_at(samplers[0], 1) == subsets[0]


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
    def kept_of(rate, **options):
        kept = WithoutGroup(40, rate, scores=GROUP_OF, group=group, **options).subset()
        return int((GROUP_OF[kept] == dropped).sum()), kept.tolist()

    assert kept_of(0.25)[0] == int((dropped == GROUP_OF).sum()) - 10
    assert kept_of(0.75)[0] == kept_of(0.75, seed=1)[0] == 0  # 30 are dropped: the whole group, and others
    assert kept_of(0.75) != kept_of(0.75, seed=1)


@pytest.mark.parametrize("redraw", [False, True])
def test_always_comes_first_and_sometimes_fills_up(redraw):
    sampler = AlwaysFirst(40, 0.5, scores=GROUP_OF, redraw=redraw, period=2)
    epochs = [kept_at(sampler, epoch) for epoch in range(8)]
    assert all(kept >= set(range(30, 40)) and not kept & set(range(10)) for kept in epochs)
    assert epochs[0] == epochs[1]
    assert len(set(map(frozenset, epochs))) == (4 if redraw else 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 60), st.integers(1, 12), st.floats(0.05, 0.9), st.integers(0, 99))
def test_cowerage_keeps_the_same_number_of_each_stratum(number, strata, rate, seed):
    losses = torch.rand(number, generator=torch.Generator().manual_seed(seed))
    kept = COWERAGE(number, prune_rate=rate, scores=losses, strata=strata, seed=seed).subset()
    members = [set(each.tolist()) for each in losses.argsort().tensor_split(strata)]
    counts = [len(each & set(kept.tolist())) for each in members]
    least = max(counts) - 1  # a stratum that is used up cannot give more
    assert all(count >= min(len(each), least) for count, each in zip(counts, members, strict=True))


def test_cowerage_draws_at_random_within_a_stratum():
    kept = [COWERAGE(400, prune_rate=0.5, scores=torch.arange(400.0), seed=seed).subset() for seed in (0, 1)]
    assert 70 <= len(np.intersect1d(*kept)) <= 130  # 100 are expected of two independent halves
    equal = COWERAGE(400, prune_rate=0.5, scores=torch.zeros(400), strata=2).subset()
    assert 0.35 < (equal < 200).float().mean() < 0.65  # equal losses: at random
