"""Tables and regressions go the way of the images, from a spec to a record."""

import dataclasses

import pytest
import torch
from sklearn.metrics import r2_score

from dynprune_lib.experiments.data import Split, TensorData, hold_out, load_dataset
from dynprune_lib.experiments.evaluation import evaluate, predict
from dynprune_lib.experiments.make import make_run
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.train import build_train_state, train
from tests.helpers import Stop, results, stop_after

SAMPLERS = ["full", "ucb", "rs2", "infobatch"]


@pytest.fixture(scope="module")
def diabetes():
    return load_dataset("diabetes")


@pytest.fixture
def regression():
    """A run that takes a fraction of a second."""
    spec = RunSpec(dataset="diabetes", model="mlp", sampler="ucb", prune_rate=0.5, epochs=4, batch_size=32)
    return dataclasses.replace(spec, optimizer="adamw", learning_rate=0.003)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_regression_has_a_record_like_all_others(diabetes, store, regression, sampler):
    rate = 0.0 if sampler == "full" else 0.5
    spec = dataclasses.replace(regression, sampler=sampler, settings={}, prune_rate=rate)
    record = train(spec, diabetes, store)
    assert store.load(spec) == record
    assert record.last_epoch is None  # classes and calibration are of classifications
    assert [epoch.backward_passes for epoch in record.epochs] == [320 if sampler == "full" else 160] * 4
    assert 0.2 < record.test_accuracy < 0.6
    assert record.epochs[-1].test_loss < record.epochs[0].test_loss
    assert store.selections(spec).sum() == record.total("samples_kept")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_table_and_sentences_are_learned(store, sampler):
    rate = 0.0 if sampler == "full" else 0.5
    own = {"sampler": sampler, "prune_rate": rate, "batch_size": 32, "optimizer": "adamw", "learning_rate": 0.003}
    record = train(RunSpec(dataset="breast_cancer", model="mlp", epochs=4, **own), load_dataset("breast_cancer"), store)
    assert record.test_accuracy > 0.9
    assert len(record.last_epoch.class_accuracy) == 2
    tokens = torch.randint(2, 50, (256, 6), generator=torch.Generator().manual_seed(0))
    words = Split(tokens, (tokens == 7).any(1).long())
    data = TensorData("words", ("no", "yes"), words, words, "")
    record = train(RunSpec(dataset="words", model="bag", epochs=12, **own), data, store)
    assert record.test_accuracy > words.labels.bincount().max() / 256 + 0.02


def test_an_interrupted_regression_ends_with_the_same_record(diabetes, store, regression, tmp_path):
    whole = train(regression, diabetes, dataclasses.replace(store, folder=tmp_path / "other"))
    with pytest.raises(Stop):
        train(regression, diabetes, store, stop_after(2))
    assert results(train(regression, diabetes, store)) == results(whole)


def test_its_score_is_the_explained_variance_and_never_negative(diabetes, regression):
    state = build_train_state(regression, diabetes)
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


def test_the_explained_variance_of_a_fitted_model(diabetes, store, regression):
    spec = dataclasses.replace(regression, sampler="full", settings={}, prune_rate=0.0)
    loss, score = (getattr(train(spec, diabetes, store).epochs[-1], name) for name in ("test_loss", "test_accuracy"))
    assert score == pytest.approx(1 - loss / diabetes.test.labels.var(correction=0).item(), abs=1e-5)


def test_a_regression_can_be_rescored_and_held_out(diabetes, store, regression):
    spec = dataclasses.replace(regression, rescore=True, validation=64)
    record = make_run(spec, diabetes, store)
    assert record.epochs[1].forward_passes == record.epochs[1].backward_passes + 256
    assert len(hold_out(diabetes, 64).test) == 64


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": "entropy"},
        {"label_smoothing": 0.1},
        {"sampler": "el2n", "settings": {"at_epoch": 2}},
        {"sampler": "forget", "settings": {}},
    ],
)
def test_what_needs_classes_is_refused_for_a_regression(diabetes, store, regression, wrong):
    with pytest.raises(ValueError, match="diabetes is a regression, which has no classes: choose the score loss"):
        make_run(dataclasses.replace(regression, **wrong), diabetes, store, lambda *_: pytest.fail("trained"))


def test_a_sampler_with_a_share_for_every_class_is_refused_for_a_regression(diabetes, store, regression):
    with pytest.raises(ValueError, match="a share for every class"):
        train(dataclasses.replace(regression, sampler="rcap", settings={}), diabetes, store)
