"""The scores against a reference in NumPy, and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dynprune_lib.scores import SCORES

logits_and_labels = st.lists(
    st.tuples(st.lists(st.floats(-30, 30), min_size=4, max_size=4), st.integers(0, 3)), min_size=1, max_size=8
)


def reference(name, logits, label):
    """Return the score of one sample, in double precision."""
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
    }[name]


@pytest.mark.parametrize("name", SCORES)
@given(samples=logits_and_labels)
def test_against_the_reference(name, samples):
    logits = torch.tensor([sample for sample, _ in samples])
    labels = torch.tensor([label for _, label in samples])
    expected = [reference(name, sample, label) for sample, label in samples]
    np.testing.assert_allclose(SCORES[name](logits, labels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "undecided", "sure_and_right", "sure_and_wrong"),
    [
        ("loss", math.log(4), 0, 100),
        ("least-confidence", 0.75, 0, 0),
        ("entropy", math.log(4), 0, 0),
        ("margin", 1, 0, 0),
        ("el2n", math.sqrt(0.75), 0, math.sqrt(2)),
        ("error", 0, 0, 1),
        ("aum", 0, -100, 100),
    ],
)
def test_by_hand(name, undecided, sure_and_right, sure_and_wrong):
    logits = torch.tensor([[0.0, 0, 0, 0], [100.0, 0, 0, 0], [100.0, 0, 0, 0]])
    scores = SCORES[name](logits, torch.tensor([0, 0, 1]))
    assert scores.tolist() == pytest.approx([undecided, sure_and_right, sure_and_wrong], abs=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_no_graph_and_full_precision(name):
    logits = torch.randn(3, 5, dtype=torch.bfloat16, requires_grad=True)
    scores = SCORES[name](logits, torch.tensor([0, 1, 2]))
    assert scores.shape == (3,)
    assert scores.dtype == torch.float32
    assert not scores.requires_grad
