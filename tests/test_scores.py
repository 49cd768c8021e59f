"""The scores against a reference in NumPy; by hand, the doctests have them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib.scores import SCORES

LOGITS_AND_LABEL = st.tuples(st.lists(st.floats(-100, 100), min_size=4, max_size=4), st.integers(0, 3))


def reference(logits, label):
    """Return the scores of one sample, in double precision."""
    shifted = np.array(logits) - max(logits)
    p = np.exp(shifted) / np.exp(shifted).sum()
    log_p = shifted - np.log(np.exp(shifted).sum())
    return {
        "loss": -log_p[label],
        "least-confidence": 1 - p.max(),
        "entropy": -(p * log_p).sum(),
        "margin": 1 - (np.sort(p)[-1] - np.sort(p)[-2]),
        "el2n": np.sqrt(((p - np.eye(4)[label]) ** 2).sum()),
        "error": float(np.float32(logits).argmax() != label),
        "aum": max(np.delete(logits, label)) - logits[label],
    }


@settings(deadline=None)
@given(samples=st.lists(LOGITS_AND_LABEL, min_size=1, max_size=8))
def test_against_the_reference(samples):
    logits, labels = (torch.tensor(part) for part in zip(*samples, strict=True))
    for name, score in SCORES.items():
        expected = [reference(*sample)[name] for sample in samples]
        np.testing.assert_allclose(score(logits, labels), expected, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", SCORES)
def test_no_graph_and_full_precision(name):
    scores = SCORES[name](torch.randn(3, 5, dtype=torch.bfloat16, requires_grad=True), torch.tensor([0, 1, 2]))
    assert (scores.shape, scores.dtype, scores.requires_grad) == ((3,), torch.float32, False)
