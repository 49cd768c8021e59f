"""Scores computed before training: by hand, against plain reference code, and what they cost."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dynprune_lib import SAMPLERS, StaticScored
from dynprune_lib.errors import StoreError
from dynprune_lib.experiments import static_scores as static
from dynprune_lib.experiments.augment import normalize
from dynprune_lib.experiments.corruption import add_label_noise
from dynprune_lib.experiments.evaluation import gradient_norms, last_layer_gradient_norms
from dynprune_lib.experiments.models import build_model
from dynprune_lib.experiments.selection_groups import GROUPS, group_of
from dynprune_lib.experiments.static_scores import scoring_spec, static_scores
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.experiments.train import TrainState, train, train_epoch
from dynprune_lib.scores import el2n
from tests.helpers import Stop, stop_after

BATCHES = 1437 // 32
TRAINED = BATCHES * 32  # samples in the full batches of an epoch


def static_spec(spec, sampler, **settings):
    return replace(spec, sampler=sampler, settings=settings)


def scoring_model(spec, data, seed=1000):
    """What scores samples, before its first epoch."""
    return TrainState(replace(spec, sampler="full", settings={}, prune_rate=0.0, seed=seed), data)


def trained_epochs(training, epochs):
    """Train a model; yield the samples of each epoch and their logits."""
    seen = []
    training.model.register_forward_hook(lambda _m, _i, logits: seen.append(logits.detach()))
    for epoch in range(epochs):
        seen.clear()
        train_epoch(training, epoch)
        yield training.sampler.indices()[:TRAINED], torch.cat(seen[:BATCHES])


@pytest.mark.parametrize("sampler", ["cat", "cowerage"])
def test_scores_of_early_losses_are_those_of_training(digits, store, spec, sampler):
    scores, losses = static_scores(static_spec(spec, sampler, at_epoch=2), digits, store), []
    for index, logits in trained_epochs(scoring_model(spec, digits), 2):
        loss = F.cross_entropy(logits, digits.train.labels[index], reduction="none")
        losses.append(torch.full((1437,), torch.nan).index_copy_(0, index, loss))
    first, second = losses
    last = torch.where(second.isnan(), first, second)
    wanted = torch.stack(losses).var(0) if sampler == "cat" else last
    torch.testing.assert_close(scores.values, wanted.nan_to_num(0.0), rtol=1e-4, atol=1e-5)
    assert scores.cost.backward_passes == 2 * TRAINED  # nothing for the scores themselves


@pytest.mark.slow
def test_aum_scores_of_a_training_are_low_for_wrong_labels(digits, store, spec):
    noisy = add_label_noise(digits, 0.2, seed=0)
    scores = static_scores(replace(static_spec(spec, "aum"), epochs=8), noisy, store).values
    lowest = scores.argsort()[: int(noisy.wrong.sum())]
    assert noisy.wrong[lowest].float().mean() > 0.6  # by chance, 0.2


def test_forget_scores_of_a_training_against_its_own_predictions(digits, store, spec):
    scores = static_scores(static_spec(spec, "forget"), digits, store).values
    history = np.full((spec.epochs, len(digits.train)), np.nan)
    for epoch, (index, logits) in enumerate(trained_epochs(scoring_model(spec, digits), spec.epochs)):
        history[epoch, index] = logits.argmax(1) == digits.train.labels[index]
    for sample, seen in enumerate(history.T):
        shown = seen[~np.isnan(seen)]
        assert scores[sample] == (sum(shown[:-1] > shown[1:]) if shown.any() else float("inf"))


def test_el2n_is_the_mean_over_models_of_other_seeds(digits, store, spec):
    wanted = replace(static_spec(spec, "el2n", models=2, at_epoch=1), seed=2)
    scores = static_scores(wanted, digits, store)
    expected = torch.zeros(len(digits.train))
    for seed in (3000, 3001):
        training = scoring_model(spec, digits, seed)
        train_epoch(training, 0)
        with torch.no_grad():
            logits = training.model.eval()(normalize(digits.train.images, digits))
        expected += el2n(logits, digits.train.labels) / 2
    torch.testing.assert_close(scores.values, expected, rtol=1e-4, atol=1e-5)
    assert scores.cost.backward_passes == 2 * TRAINED
    assert scores.cost.forward_passes == scores.cost.backward_passes + 2 * 1437
    assert scores.cost.seconds > 0
    with pytest.raises(StoreError, match="are of other data than digits is now: remove them"):
        static_scores(wanted, replace(digits, md5="another"), store)


@pytest.mark.parametrize(("name", "shape"), [("tiny", (1, 8, 8)), ("small", (3, 32, 32))])
def test_grand_and_its_last_layer_form_against_autograd_one_sample_at_a_time(name, shape):
    x, labels = torch.randn(6, *shape, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    model = build_model(name, x, 10, seed=0)
    model.train()(x)  # batch statistics that are not those of the start
    for norms, part in ((gradient_norms, model), (last_layer_gradient_norms, model[-1])):
        expected = []
        for sample, label in zip(x, labels, strict=True):
            loss = F.cross_entropy(model.eval()(sample[None]), label[None])
            gradients = torch.autograd.grad(loss, list(part.parameters()))
            expected.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
        model.train()  # which they put in evaluation mode
        torch.testing.assert_close(norms(model, x, labels), torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_the_last_layer_form_needs_a_last_layer():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
    with pytest.raises(ValueError, match="no linear layer with a bias: use the gradient of all"):
        last_layer_gradient_norms(model, torch.ones(1, 4), torch.zeros(1, dtype=torch.int64))


def test_the_final_subset_is_that_of_the_dynamic_run(digits, store, spec):
    wanted = static_spec(spec, "final-subset")
    values = static_scores(wanted, digits, store).values
    training = TrainState(replace(spec, sampler="ucb", settings={}, seed=1000), digits)
    for epoch in range(spec.epochs):
        train_epoch(training, epoch)
    expected = training.sampler.subset().tolist()
    assert values.nonzero().squeeze(1).tolist() == wanted.make_sampler(1437, values).subset().tolist() == expected


def test_each_group_of_one_run_is_left_out(digits, tmp_path, spec):
    long = replace(spec, epochs=5, prune_rate=0.1, seed=1)
    store, twin = Store(tmp_path), Store(tmp_path / "twin")
    dynamic = replace(long, rescore=True, settings={"warm_up": 1}, prune_rate=0.5, seed=2000)
    train(dynamic, digits, twin)
    groups = group_of(twin.selections(dynamic), dynamic)
    for group in GROUPS:
        wanted = static_spec(long, "without-group", group=group, of_rescore=True)
        values = static_scores(wanted, digits, store).values
        assert np.array_equal(values, groups)
        left_out = np.setdiff1d(np.arange(1437), wanted.make_sampler(1437, values).subset())
        members = groups == GROUPS.index(group)
        assert len(left_out) == 144
        assert members[left_out].sum() == min(144, members.sum())
    assert len(list((tmp_path / "scores").glob("*.json"))) == 1
    cost = store.load_scores(scoring_spec(wanted)).cost
    assert cost.forward_passes - cost.backward_passes == 4 * 1437


def test_every_static_sampler_has_a_scoring_method():
    expected = {name for name, sampler in SAMPLERS.items() if issubclass(sampler, StaticScored)}
    assert static.METHODS.keys() == expected, "give each static sampler a function in METHODS of static_scores.py"


def test_scores_are_computed_once_and_charged_to_every_run_that_uses_them_and_selects_by_them(store, spec, monkeypatch):
    short = replace(static_spec(spec, "cowerage", at_epoch=1), epochs=2)
    specs = [replace(short, seed=seed, prune_rate=rate) for seed, rate in ((0, 0.5), (0, 0.7), (1, 0.5))]
    compute = Mock(side_effect=static._compute)
    monkeypatch.setattr(static, "_compute", compute)
    sweep(specs, Plan(store))
    assert compute.call_count == 2  # once for each seed
    assert [scoring_spec(replace(each, init_seed=5)).seed for each in specs] == [1000, 1000, 2000]
    assert scoring_spec(replace(short, init_seed=5)) == scoring_spec(short)
    for each in specs:
        record, scores = store.load(each), store.load_scores(scoring_spec(each))
        assert record.scoring == scores.cost
        assert record.scoring.backward_passes == TRAINED
        kept = each.make_sampler(1437, scores.values).subset()
        assert np.flatnonzero(store.selections(each)).tolist() == kept.tolist()
        assert set(store.selections(each)) == {0, 2}


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "settings"), [("forget", {}), ("el2n", {"models": 2, "at_epoch": 2})])
def test_an_interrupted_scoring_ends_with_the_same_scores(digits, tmp_path, spec, sampler, settings):
    wanted = static_spec(spec, sampler, **settings)
    whole, parts = Store(tmp_path / "whole"), Store(tmp_path / "parts")
    expected = static_scores(wanted, digits, whole)
    for _ in range(3):
        with pytest.raises(Stop):
            static_scores(wanted, digits, parts, stop_after(1))
    found = static_scores(wanted, digits, parts)
    assert torch.equal(found.values, expected.values)
    assert found.cost.backward_passes == expected.cost.backward_passes
    assert not list((tmp_path / "parts" / ".running").glob("*.pt"))


def test_grand_costs_a_pass_and_a_way_back_if_it_is_exact(digits, store, spec):
    for exact in (True, False):
        scores = static_scores(static_spec(spec, "grand", models=1, at_epoch=1, exact=exact), digits, store)
        assert scores.values.isfinite().all()
        assert scores.cost.backward_passes == TRAINED + 1437 * exact
        assert scores.cost.forward_passes == TRAINED + 1437


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1000}, "seed is 1000: it must be below 1000, the first seed of scoring models"),
        ({"prune_rate": 0.99}, "keeps 14 of 1437 samples, fewer than one batch of 32"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_any_training(digits, store, spec, changes, message):
    with pytest.raises(ValueError, match=message):
        static_scores(replace(static_spec(spec, "forget"), **changes), digits, store, pytest.fail)
