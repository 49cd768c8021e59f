"""The base class, on one sampler: no sampler overrides this code."""

import warnings

import pytest
import torch

from dynprune_lib import UCB, DynamicEL2N, DynamicRandom, EpsilonGreedy, Full, InfoBatch
from dynprune_lib.samplers.sampler import MAX_SCORE
from tests.samplers.conftest import assert_same, kept_at, losses_of


def test_iterating_restarts_and_repeats(make_one):
    sampler = make_one()
    first = iter(sampler)
    assert [next(first), *sampler] == [sampler.indices()[0], *sampler.indices()]
    assert list(first) == sampler.indices()[1:].tolist()


def test_scores_before_the_first_epoch_count_even_if_samples_were_asked_for(make_one):
    sampler = make_one(10)
    assert len(sampler.subset()) == 5
    sampler.observe(torch.arange(10), torch.arange(10.0))
    assert kept_at(sampler, 0) == {5, 6, 7, 8, 9}


# What is recorded, and the loss --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "losses", "error", "message"),
    [
        (torch.tensor([1, 2]), torch.tensor(0.5), ValueError, "losses is a scalar: .*reduction='none'"),
        (torch.tensor([1, 2]), torch.ones(3), ValueError, r"index has shape \(2,\) and losses \(3,\)"),
        (torch.tensor([1, 2]), torch.ones(2, 1), ValueError, r"losses \(2, 1\).*dynprune_lib.per_sample\(losses\)"),
        (torch.tensor([1, 2]), {"a": torch.ones(2)}, ValueError, r"dynprune_lib.per_sample\(losses\)"),
        (torch.tensor([1, 2]), [0.5] * 2, ValueError, r"dynprune_lib.per_sample\(losses\)"),
        (range(2), torch.ones(2), ValueError, r"index is a range: it must be a tensor: pass torch.as_tensor\(index\)"),
        (torch.tensor([1, 40]), torch.ones(2), IndexError, r"index 40 is not in \[0, 40\): is it a position in the"),
        (torch.tensor([-1, 2]), torch.ones(2), IndexError, "index -1 is not"),
        (torch.rand(2), torch.ones(2), ValueError, r"index has type torch.float32: .* dynprune_lib.indexed\(dataset\)"),
        (torch.tensor([True, True]), torch.ones(2), ValueError, r"index has type torch.bool"),
    ],
)
def test_update_refuses_other_than_per_sample_losses(make_one, index, losses, error, message):
    with pytest.raises(error, match=message):
        make_one().update(index, losses)


def test_scores_are_recorded_instead_of_the_losses_and_observing_is_recording_without_training(make_one):
    with_scores, with_losses, observed = make_one(), make_one(), make_one()
    index, losses, scores = torch.tensor([3, 5]), torch.tensor([1.0, 2.0]), torch.tensor([7.0, 9.0])
    assert with_scores.update(index, losses, scores) == 1.5
    with_losses.update(index, scores)
    observed.observe(index, scores)
    assert_same(with_scores.state_dict(), with_losses.state_dict())
    assert_same(observed.memory, with_losses.memory)
    assert (observed.report().passes_made, with_losses.report().passes_made) == (0, 2)
    for call in (lambda: observed.update(index, losses, torch.ones(3)), lambda: observed.observe(index, torch.ones(3))):
        with pytest.raises(ValueError, match=r"index has shape \(2,\) and scores \(3,\)"):
            call()


def test_a_mean_is_the_score_of_every_sample_of_the_batch(make_one):
    with_mean, with_losses = make_one(), make_one()
    index, mean = with_mean.indices()[:5], torch.tensor(0.75, requires_grad=True) * 2
    with_losses.indices()
    assert with_mean.update(index, mean, per_sample=False) is mean
    with_losses.update(index, torch.full((5,), 1.5))
    assert_same(with_mean.state_dict(), with_losses.state_dict())
    with pytest.raises(ValueError, match=r"losses has shape \(5,\): with per_sample=False, it must be a scalar"):
        with_mean.update(index, torch.ones(5), per_sample=False)
    with pytest.raises(ValueError, match="rescale is True: the losses of samples that only have a mean"):
        InfoBatch(40, 0.5).update(index, torch.tensor(1.0), per_sample=False)


def test_losses_in_place_of_another_score_cause_one_warning():
    told = "DynamicEL2N is defined for the score el2n, but update() was called without scores"
    for make in (UCB, DynamicEL2N):
        sampler = make(40, 0.5)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                sampler.update(torch.arange(3), torch.ones(3))
        assert [told in str(each.message) for each in caught] == [True] * (make is DynamicEL2N)


@pytest.mark.filterwarnings("error")
def test_scores_that_are_not_finite_are_counted_and_told_once(make_one, run_epoch):
    sampler = make_one()
    run_epoch(sampler, 0)
    for index in sampler.subset()[:3].split(2):
        sampler.observe(index, torch.full((len(index),), torch.nan))
    with pytest.warns(UserWarning, match="3 scores of epoch 0 were not finite and were not recorded"):
        sampler.set_epoch(1)
    sampler.set_epoch(2)


@pytest.mark.parametrize("scores", [torch.tensor([3e38, -3e38]), torch.tensor([1e300, -1e300], dtype=torch.float64)])
def test_huge_scores_are_clamped_not_lost(scores):
    sampler, infinite = UCB(4, 0.5), torch.inf
    sampler.observe(torch.tensor([0, 1]), scores)
    assert sampler.memory["mean"].tolist() == [torch.tensor(MAX_SCORE), -torch.tensor(MAX_SCORE), infinite, infinite]
    sampler.observe(torch.tensor([0, 1]), -scores)
    assert sampler.memory["mean"][:2].tolist() == [0, 0]
    assert sampler.memory["var"][:2].tolist() == pytest.approx([2 * MAX_SCORE**2] * 2)


def test_a_repeated_sample_gets_its_highest_score(make_one):
    index, scores = torch.tensor([1, 1, 1, 2, 3]), torch.tensor([2.0, 5.0, torch.nan, 4.0, torch.inf])
    expected = make_one()
    expected.observe(torch.tensor([1, 2]), torch.tensor([5.0, 4.0]))
    for order in ([0, 1, 2, 3, 4], [3, 1, 0, 4, 2], [2, 4, 3, 0, 1]):
        sampler = make_one()
        sampler.observe(index[order], scores[order])
        assert_same(sampler.memory, expected.memory)


@pytest.mark.parametrize("make", [UCB, lambda *args: DynamicRandom(*args, rescale=True)])
def test_an_epoch_does_not_synchronise_the_device(make):
    """Use what `check_sampler` leaves out on tensors without data, of which no number is there for the host."""
    sampler, losses = make(40, 0.5), torch.rand(8, device="meta", requires_grad=True)
    for index in (torch.arange(8, device="meta").int(), torch.arange(8)):
        sampler.update(index, losses).backward()
        sampler.mean_loss(index, losses).backward()
        sampler.observe(index, losses.detach().half())
        if not sampler.rescale:
            sampler.update(index, losses.mean(), per_sample=False).backward()
        sampler.steps_left(3, batch_size=8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_scores_live_where_the_losses_live(make_one, run_epoch):
    on_cpu, on_gpu, resumed = make_one(100), make_one(100), make_one(100)
    for epoch in range(3):
        order = run_epoch(on_cpu, epoch)
        on_gpu.set_epoch(epoch)
        assert list(on_gpu) == order
        for index in torch.tensor(order).split(7):
            on_gpu.update(index.cuda(), losses_of(index, epoch).cuda())
    assert all(tensor.device.type == "cuda" for tensor in on_gpu.memory.values())
    resumed.load_state_dict(on_gpu.state_dict())
    assert resumed.subset().tolist() == on_cpu.subset().tolist()


# Rescaled losses -----------------------------------------------------------------------------------------------------


def weights_of(sampler, subset):
    return torch.stack([sampler.mean_loss(index, torch.ones(1, dtype=torch.float64)) for index in subset.split(1)])


def test_a_loss_is_rescaled_before_anything_is_selected_and_not_in_epochs_on_all_samples(run_epoch):
    assert DynamicRandom(40, 0.75, rescale=True).mean_loss(torch.arange(40), torch.ones(40)) == 0.25  # 30 are left out
    assert Full(40, rescale=True).mean_loss(torch.arange(40), torch.ones(40)) == 1
    sampler = EpsilonGreedy(40, 0.5, warm_up=1, anneal_from=2, rescale=True)
    assert sampler.mean_loss(torch.arange(40), torch.ones(40)) == 1
    for epoch in range(4):
        run_epoch(sampler, epoch)
        assert (weights_of(sampler, sampler.subset()) == 1).all() == (epoch != 1)


def test_rescaling_is_refused_where_no_probability_is_defined(make_one):
    with pytest.raises(ValueError, match="rescale is True: UCB does not select its samples with known probabilities"):
        make_one(rescale=True)
