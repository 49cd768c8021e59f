"""The static samplers: the highest scores, random ties, and errors for wrong scores."""

import pytest
import torch

from dynprune_lib import StaticScored
from dynprune_lib.samplers import Forget


def test_the_highest_scores_are_kept_for_the_whole_run():
    sampler = StaticScored(6, 0.5, scores=torch.tensor([3.0, 1.0, 5.0, 0.0, 4.0, 2.0]))
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert sampler.subset().tolist() == [0, 2, 4]
        sampler.update(torch.tensor([0, 2, 4]), torch.zeros(3))


def test_never_learned_samples_are_kept_first():
    scores = torch.tensor([2.0, torch.inf, 0.0, 7.0, torch.inf, 1.0])
    assert set(Forget(6, 2 / 3, scores=scores).subset().tolist()) == {1, 4}


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
