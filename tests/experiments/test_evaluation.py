import pytest
import torch

from dynprune_lib.experiments.evaluation import evaluate
from dynprune_lib.experiments.train import build_train_state


def test_evaluation_against_one_batch_in_float32(digits, spec):
    model = build_train_state(spec, digits).model
    loss, accuracy = evaluate(model, digits.test, digits, "float32")
    x = ((digits.test.images.float() - digits.mean) / digits.std).permute(0, 3, 1, 2)
    logits = model(x)
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, digits.test.labels).item(), rel=1e-5)
    assert accuracy == (logits.argmax(1) == digits.test.labels).double().mean().item()
