import itertools
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dynprune_lib.errors import SpecError, TrainingDiverged
from dynprune_lib.experiments import train as train_module
from dynprune_lib.experiments.data import Split, TensorData, hold_out, load_dataset
from dynprune_lib.experiments.evaluation import evaluate, score_all
from dynprune_lib.experiments.make import make_run
from dynprune_lib.experiments.observers import Observer
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.train import TrainState, _scores, train, train_epoch, train_epochs, train_steps
from dynprune_lib.scores import SCORES
from tests.helpers import Stop, results, stop_after

FULL = {"sampler": "full", "prune_rate": 0.0, "settings": {}}


def test_digits_are_learned_the_costs_are_counted_and_the_random_state_of_the_user_is_left_alone(digits, store, spec):
    before, started = torch.get_rng_state(), time.perf_counter()
    spec = replace(spec, trace=100)
    record = train(spec, digits, store)
    parts = ("training_seconds", "selection_seconds", "evaluation_seconds")
    assert sum(getattr(epoch, part) for epoch in record.epochs for part in parts) < time.perf_counter() - started
    assert torch.equal(torch.get_rng_state(), before)
    assert store.load(spec) == record
    assert record.test_accuracy > 0.8
    kept = round(0.5 * len(digits.train))
    for epoch in record.epochs:
        assert (epoch.samples_kept, epoch.steps) == (kept, kept // 32)
        assert epoch.forward_passes == epoch.backward_passes == kept // 32 * 32
        assert epoch.scoring_seconds == 0
        assert min(epoch.training_seconds, epoch.selection_seconds, epoch.evaluation_seconds) > 0
    assert store.selections(spec).sum() == 4 * kept
    assert store.selections(spec).max() <= 4
    assert store.trace(spec).shape == (3, 100)  # after epochs 1, 2 and 4
    assert np.isfinite(store.trace(spec)[-1]).mean() > 0.9  # all but those of last, smaller batches
    assert record.environment["threads"] == torch.get_num_threads()
    assert record.environment["jobs"] == 1
    assert record.environment["data_md5"] == digits.md5


DESKTOP = {"precision": "bfloat16", "averaging": 0.9, "bias_rate": 8, "flip": "alternating"}
INTERRUPTED = [
    {"sampler": "infobatch", "prune_rate": 0.0, "settings": {"fill": False, "period": 2}},
    {"sampler": "molpeg", "settings": {}, **DESKTOP},
]


@pytest.mark.parametrize("changes", INTERRUPTED)
def test_an_interrupted_run_ends_with_the_same_record(digits, tmp_path, spec, changes):
    spec = replace(spec, **changes)
    whole, parts = Store(tmp_path / "whole"), Store(tmp_path / "parts")
    expected = train(spec, digits, whole)
    for epochs in (1, 2):
        with pytest.raises(Stop):
            train(spec, digits, parts, stop_after(epochs))
    told = []
    record = train(spec, digits, parts, lambda *_: told.append(1))
    assert len(told) == spec.epochs - 1 - 2  # it goes on where it was
    assert results(record) == results(expected)
    assert (record.last_epoch, record.left_out) == (expected.last_epoch, expected.left_out)
    assert np.array_equal(parts.selections(spec), whole.selections(spec))


def test_an_init_seed_is_of_the_initialisation_alone(digits, spec):
    one, other = (replace(spec, **seeds) for seeds in ({"seed": 0}, {"seed": 1, "init_seed": 0}))
    states = [TrainState(each, digits) for each in (one, other)]
    parameters = zip(*(state.model.parameters() for state in states), strict=True)
    assert all(torch.equal(*pair) for pair in parameters)
    assert not torch.equal(*(state.sampler.indices() for state in states))
    losses = [train_steps(state, (torch.arange(32),), epoch=0) for state in states]
    assert not torch.equal(*losses)  # of the same samples, with another augmentation


def test_saving_takes_a_twentieth_of_the_time_at_most(monkeypatch):
    clock, saved = [1_000.0], []

    def train_epoch(*_):
        clock[0] += 10.0

    def save():
        saved.append(clock[0])
        clock[0] += 2.0

    monkeypatch.setattr(train_module, "train_epoch", train_epoch)
    monkeypatch.setattr(train_module.time, "perf_counter", lambda: clock[0])
    train_epochs(SimpleNamespace(epochs=[]), 10, save)
    assert saved == [1_010.0, 1_042.0, 1_084.0]  # 2 of 40 seconds, then 4 of 80, are one part in twenty


def test_a_run_that_is_stopped_between_checkpoints_loses_nothing(digits, store, spec, monkeypatch):
    monkeypatch.setattr(train_module, "SAVING", -1)
    with pytest.raises(Stop):
        train(spec, digits, store, stop_after(3))
    assert len(store.load_checkpoint(spec, {})["epochs"]) == 3


def test_a_reference_model_scores_every_batch_and_its_passes_are_counted(digits, spec):
    spec = replace(spec, sampler="molpeg", settings={"decay": 0.9}, epochs=2)
    state = TrainState(spec, digits)
    epoch = train_epoch(state, 0)
    assert epoch.forward_passes == 2 * epoch.backward_passes
    trained, reference = next(state.model.parameters()), next(state.reference.module.parameters())
    assert not torch.equal(trained, reference)
    assert (trained - reference).abs().max() < 1  # but it follows
    index, images, labels = state.sampler.indices()[:9], torch.rand(9, 1, 8, 8), digits.train.labels[:9]
    state.sampler.update(index, torch.zeros(9), _scores(state, images, state.model(images), labels))
    assert (state.sampler.memory["last"][index] > 0).all()


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_the_schedule_ends_with_the_last_step_that_a_pruned_run_makes(digits, spec, schedule):
    spec = replace(spec, schedule=schedule, prune_rate=0.7)
    training = TrainState(spec, digits)
    rates = []
    training.optimizer.register_step_pre_hook(lambda *_: rates.append(training.optimizer.param_groups[0]["lr"]))
    for epoch in range(spec.epochs):
        train_epoch(training, epoch)
    assert len(rates) == 4 * (round(0.3 * 1437) // 32)
    assert max(rates) == pytest.approx(spec.learning_rate, rel=0.05)
    assert rates[-1] < 0.06 * spec.learning_rate
    peak = rates.index(max(rates))
    assert peak == (0 if schedule == "cosine" else round(0.25 * len(rates)) - 1)
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


@pytest.mark.parametrize("name", ["loss", "el2n"])
def test_the_sampler_and_observers_are_told_the_score_of_the_spec(digits, spec, name):
    observer = Observer()
    training = TrainState(replace(spec, **FULL, score=name, label_smoothing=0.1), digits, observer=observer)
    observed = []
    observer.after_batch = lambda _, scores: observed.append(scores)
    seen = []
    training.model.register_forward_hook(lambda _module, _inputs, logits: seen.append(logits.detach()))
    recorded = []
    training.sampler.record = lambda index, scores, _: recorded.append((index, scores))
    train_epoch(training, 0)
    for logits, (index, scores) in zip(seen, recorded, strict=False):  # the evaluation's come after them
        torch.testing.assert_close(scores, SCORES[name](logits, digits.train.labels[index]))
    assert len(recorded) == 1437 // 32
    assert all(torch.equal(scores, found) for (_, scores), found in zip(recorded, observed, strict=True))


@pytest.mark.filterwarnings("ignore:.*not finite")
def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(digits, store, spec, monkeypatch):
    original, calls = torch.nn.functional.cross_entropy, itertools.count(1)

    def explode(*args, **kwargs):  # 22 steps, an evaluation, 5 steps
        return original(*args, **kwargs) * (float("nan") if next(calls) == 22 + 1 + 5 else 1)

    monkeypatch.setattr("torch.nn.functional.cross_entropy", explode)
    with pytest.raises(TrainingDiverged, match="the loss is nan at step 4 of epoch 1"):
        train(spec, digits, store)
    assert store.load(spec) is None
    assert len(store.load_checkpoint(spec, {})["epochs"]) == 1


def test_augmentation_is_decided_by_seed_and_epoch(digits, spec):
    def augmented(seed, epoch):
        state, seen = TrainState(replace(spec, seed=seed), digits), []
        state.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        train_steps(state, (torch.arange(32), torch.arange(32)), epoch)
        assert not torch.equal(*seen)  # nor do two batches of an epoch have the same crops
        return seen[0]

    first = augmented(seed=0, epoch=0)
    assert torch.equal(augmented(seed=0, epoch=0), first)
    for seed, epoch in ((1, 0), (0, 1)):
        assert not torch.equal(augmented(seed, epoch), first)


def test_weights_that_the_last_step_broke_are_no_result(digits, store, spec):
    spec = replace(spec, **FULL, epochs=1, batch_size=1437, learning_rate=1e38)
    with pytest.raises(TrainingDiverged, match=r"the test loss is (nan|inf) after epoch 0"):
        train(spec, digits, store)
    assert not store.has(spec)


def test_a_static_subset_without_a_class_is_told_with_the_name_of_the_class(digits, spec):
    spec = replace(spec, sampler="el2n", settings={}, prune_rate=0.5)
    scores = (digits.train.labels != 7).float() + (digits.train.labels > 4)
    with pytest.warns(UserWarning, match="el2n at prune_rate 0.5 keeps no sample of the classes .*7.*: the model"):
        TrainState(spec, digits, scores - 2 * (digits.train.labels == 7))


def test_rescoring_tells_the_sampler_every_sample_and_its_passes_are_counted(digits, spec):
    spec = replace(spec, rescore=True, score="el2n", settings={"period": 2, "alpha": 1.0})
    training = TrainState(spec, digits)
    train_epoch(training, 0)
    assert torch.isinf(training.sampler.memory["mean"]).all()  # an untrained model is not asked
    first = train_epoch(training, 1)
    assert (first.forward_passes, first.scoring_seconds) == (first.backward_passes, 0)
    expected = score_all(training.model, digits, spec.precision, SCORES["el2n"])
    second = train_epoch(training, 2)
    assert torch.equal(training.sampler.memory["mean"], expected)  # what training recorded after it would show
    assert second.forward_passes == second.backward_passes + len(digits.train)
    assert second.scoring_seconds > 0


def floats(model):
    """Parameters, and running statistics without their counts."""
    return [value for value in model.state_dict().values() if value.is_floating_point()]


def test_the_average_of_the_weights_is_evaluated(digits, spec):
    state = TrainState(replace(spec, **FULL, averaging=0.9, epochs=1), digits)
    expected = [value.clone() for value in floats(state.model)]
    steps, step = itertools.count(), state.schedule.step

    def follow():
        step()
        share = 0.9 if next(steps) else 0.0  # the average begins at the first step
        for mean, value in zip(expected, floats(state.model), strict=True):
            mean.copy_(share * mean + (1 - share) * value)

    state.schedule.step = follow
    record = train_epoch(state, 0)
    for mean, value in zip(expected, floats(state.evaluated), strict=True):
        torch.testing.assert_close(mean, value)
    loss, accuracy = evaluate(state.evaluated, digits.test, digits, "float32")
    assert (loss, accuracy) == (pytest.approx(record.test_loss, abs=1e-5), record.test_accuracy)


def test_norm_biases_have_a_rate_of_their_own_at_every_step(digits, spec):
    state = TrainState(replace(spec, bias_rate=8), digits)
    others, biases = state.optimizer.param_groups
    assert biases["weight_decay"] == others["weight_decay"] / 8
    for _ in range(5):
        assert biases["lr"] == pytest.approx(8 * others["lr"])
        state.optimizer.step()
        state.schedule.step()


def test_held_out_samples_are_evaluated_on_and_not_trained_on(digits, store, spec):
    held_out = hold_out(digits, 200)
    parts = [{image.numpy().tobytes() for image in part.images} for part in (held_out.train, held_out.test)]
    assert (len(held_out.train), len(held_out.test)) == (len(digits.train) - 200, 200)
    assert not parts[0] & parts[1]
    record = make_run(replace(spec, validation=200), digits, store)
    assert record.epochs[0].samples_kept == round((len(digits.train) - 200) / 2)
    assert round(200 * record.test_accuracy, 6).is_integer()
    with pytest.raises(SpecError, match="validation is 1437: it must be below 1437, the training samples of digits"):
        make_run(replace(spec, validation=1437), digits, store)


def test_pruned_runs_alternate_flips_by_the_views_of_each_sample(digits, spec, monkeypatch):
    spec = replace(spec, flip="alternating", prune_rate=1 - 704 / 1437)  # full batches only
    state = TrainState(spec, replace(digits, flip=True))
    seen = {}

    def remember(images, _pad, flip, *_):
        for image, mirrored in zip(images, flip.tolist(), strict=True):
            seen.setdefault(image.numpy().tobytes(), []).append(mirrored)
        return images

    monkeypatch.setattr("dynprune_lib.experiments.train.augment", remember)
    for epoch in range(4):
        state.epochs.append(train_epoch(state, epoch))
    assert max(map(len, seen.values())) >= 3
    assert all(one != other for flips in seen.values() for one, other in itertools.pairwise(flips))


def test_other_runs_leave_flips_to_chance_and_the_data_set(digits, spec, monkeypatch):
    given = []
    monkeypatch.setattr(train_module, "augment", lambda images, _pad, flip, *_: given.append(flip) or images)
    for flip, may_be_mirrored in (("alternating", False), ("random", True), ("random", False)):
        state = TrainState(replace(spec, flip=flip), replace(digits, flip=may_be_mirrored))
        train_steps(state, (torch.arange(32),), epoch=0)
    assert given == [False, True, False]


def test_the_schedule_follows_the_epochs_of_any_length(digits, spec):
    spec = replace(spec, sampler="infobatch", prune_rate=0.3, settings={"fill": False}, epochs=6)
    state = TrainState(spec, digits)
    at_starts = []
    for epoch in range(spec.epochs):
        at_starts.append(state.schedule.get_last_lr()[0])
        state.epochs.append(train_epoch(state, epoch))
    fixed = TrainState(replace(spec, settings={}), digits)
    expected = []
    for _ in range(spec.epochs):
        expected.append(fixed.schedule.get_last_lr()[0])
        for _ in range(round(0.7 * 1437) // 32):
            fixed.optimizer.step()
            fixed.schedule.step()
    assert at_starts == pytest.approx(expected)
    assert state.schedule.get_last_lr() == pytest.approx(fixed.schedule.get_last_lr())
    for epoch in state.epochs:
        assert epoch.backward_passes == max(1, epoch.samples_kept // 32) * min(32, epoch.samples_kept)
    assert len(state.selections.wanted) == 6


@pytest.mark.parametrize("sampler", ["ucb", "infobatch"])
def test_a_regression_has_a_record_like_all_others(diabetes, store, regression, sampler):
    spec = replace(regression, sampler=sampler, settings={}, rescore=True)
    record = make_run(spec, diabetes, store)
    assert store.load(spec) == record
    assert record.last_epoch is None  # classes and calibration are of classifications
    assert [epoch.backward_passes for epoch in record.epochs] == [160] * 4
    assert [epoch.forward_passes for epoch in record.epochs] == [160, *[160 + 320] * 3]
    assert 0.2 < record.test_accuracy < 0.6
    last, variance = record.epochs[-1], diabetes.test.labels.var(correction=0).item()
    assert last.test_loss < record.epochs[0].test_loss
    assert last.test_accuracy == pytest.approx(1 - last.test_loss / variance, abs=1e-5)


def test_a_table_and_sentences_are_learned(store):
    own = {"sampler": "rs2", "prune_rate": 0.5, "batch_size": 32, "optimizer": "adamw", "learning_rate": 0.003}
    record = train(RunSpec(dataset="breast_cancer", model="mlp", epochs=4, **own), load_dataset("breast_cancer"), store)
    assert record.test_accuracy > 0.9
    assert len(record.last_epoch.class_accuracy) == 2
    tokens = torch.randint(2, 50, (256, 6), generator=torch.Generator().manual_seed(0))
    words = Split(tokens, (tokens == 7).any(1).long())
    data = TensorData("words", ("no", "yes"), words, words, "")
    record = train(RunSpec(dataset="words", model="bag", epochs=12, **own), data, store)
    assert record.test_accuracy > words.labels.bincount().max() / 256 + 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prune_rate": 0.99}, "prune_rate 0.99 keeps 14 of 1437 samples, fewer than one batch of 32: lower"),
        ({"prune_rate": 0.995, "batch_size": 2}, "keeps 7 of 1437 .* than one sample per class, 10: lower the rate$"),
        ({"dataset": "diabetes", "score": "entropy"}, "diabetes is a regression: it needs the score loss"),
        ({"dataset": "diabetes", "label_smoothing": 0.1}, "diabetes is a regression"),
        ({"dataset": "diabetes", "sampler": "forget", "settings": {}}, "diabetes is a regression"),
        ({"dataset": "diabetes", "sampler": "rcap", "settings": {}}, "a share for every class"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_training(digits, diabetes, store, spec, changes, message):
    data = diabetes if "dataset" in changes else digits
    with pytest.raises(ValueError, match=message):
        make_run(replace(spec, **changes), data, store, lambda *_: pytest.fail("trained"))
