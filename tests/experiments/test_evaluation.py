import pytest
import torch
from sklearn.metrics import r2_score

from dynprune_lib.experiments.evaluation import calibration_error, describe_predictions, evaluate, predict
from dynprune_lib.experiments.train import TrainState


def test_evaluation_against_one_batch_in_float32(digits, spec):
    model, labels = TrainState(spec, digits).model, digits.test.labels
    loss, accuracy = evaluate(model, digits.test, digits, "float32")
    logits = model(((digits.test.images.float() - digits.mean) / digits.std).permute(0, 3, 1, 2))
    correct = (logits.argmax(1) == labels).double()
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == correct.mean().item()
    each = [correct[labels == label].mean().item() for label in range(10)]
    assert describe_predictions(model, digits, "float32").class_accuracy == pytest.approx(each, abs=1e-6)


def test_calibration_error_by_hand():
    # two bins of ten: 0.85 and 0.81 (accuracy 1/2, mean confidence 0.83), 0.35 (accuracy 1)
    confidence, correct = torch.tensor([0.85, 0.81, 0.35]), torch.tensor([1, 0, 1])
    assert calibration_error(confidence, correct, bins=10) == pytest.approx((2 * 0.33 + 0.65) / 3, abs=1e-6)
    assert calibration_error(torch.ones(4), torch.ones(4)) == 0


def test_the_score_of_a_regression_is_the_explained_variance_and_never_negative(diabetes, regression):
    state = TrainState(regression, diabetes)
    predicted = torch.cat([outputs for outputs, _ in predict(state.model, diabetes.train, diabetes, "float32")])
    bias = state.model[-1].bias
    with torch.no_grad():
        bias += (diabetes.train.labels - predicted.squeeze(1)).mean() + 0.1
        expected = state.model(diabetes.test.inputs).squeeze(1)
        loss, score = evaluate(state.model, diabetes.test, diabetes, "float32")
        assert loss == pytest.approx((expected - diabetes.test.labels).square().mean().item(), rel=1e-5)
        assert score == pytest.approx(max(0, r2_score(diabetes.test.labels, expected)), abs=1e-6)
        bias += 10
        assert evaluate(state.model, diabetes.test, diabetes, "float32")[1] == 0
