"""The highest scores, with ties broken at random."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib.samplers import StaticScored
from dynprune_lib.samplers.selection import topk_random_ties
from tests.samplers.conftest import ANY_SCORE


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY_SCORE, min_size=1, max_size=20), st.data())
def test_topk_returns_k_different_samples(scores, data):
    k = data.draw(st.integers(0, len(scores)))
    chosen = topk_random_ties(torch.tensor(scores), k, torch.Generator()).tolist()
    assert len(chosen) == len(set(chosen)) == k
    known = torch.tensor(scores).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    assert known[chosen].sort().values.tolist() == known.sort().values[len(scores) - k :].tolist()


def test_scores_are_of_any_real_type_and_large_integers_are_compared_exactly():
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64):
        scores = torch.tensor([0, 1, 0, 1]).to(dtype)
        assert StaticScored(4, 0.5, scores=scores).subset().tolist() == [1, 3]
    assert StaticScored(4, 0.75, scores=2**60 + torch.arange(4)).subset().tolist() == [3]
