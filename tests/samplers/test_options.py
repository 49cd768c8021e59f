"""Warm-up, annealing and rescaling, which every sampler either supports or refuses with an error."""

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import RS2, UCB, DynamicRandom, EpsilonGreedy, EpsilonUCB, Full, InfoBatch, RePB
from tests.samplers.conftest import losses_of


def test_all_the_data_in_warm_up_and_annealing(make, is_full, run_epoch):
    sampler = make(warm_up=2, anneal_from=5)
    lengths = [len(run_epoch(sampler, epoch)) for epoch in range(8)]
    pruned = 40 if is_full else 20
    assert lengths == [40, 40, pruned, pruned, pruned, 40, 40, 40]
    assert lengths == [sampler.samples_in(epoch) for epoch in range(8)]  # also for past epochs
    assert lengths == [make(warm_up=2, anneal_from=5).samples_in(epoch) for epoch in range(8)]


def test_the_first_period_begins_after_the_warm_up(make, run_epoch):
    sampler = make(100, warm_up=3, period=2)
    subsets = []
    for epoch in range(7):
        assert sampler.selects_at(epoch) == (epoch in (3, 5))
        run_epoch(sampler, epoch)
        subsets.append(sampler.subset().tolist())
    assert subsets[0] == subsets[1] == subsets[2] == list(range(100))
    assert subsets[3] == subsets[4]
    assert subsets[5] == subsets[6]


def test_a_bandit_has_a_score_of_every_sample_after_the_warm_up(run_epoch):
    sampler = UCB(40, 0.5, warm_up=1, c=0.0)
    run_epoch(sampler, 0)
    sampler.set_epoch(1)
    kept = sampler.subset()
    losses = losses_of(torch.arange(40), 0)
    assert losses[kept].min() >= losses.sort().values[20]


@pytest.mark.parametrize("resumed_at", [1, 3, 5])
def test_options_resume_bit_for_bit(resumed_at, run_epoch):
    def make():
        return EpsilonGreedy(60, 0.5, epsilon=0.4, warm_up=1, anneal_from=6, period=2, rescale=True)

    original = make()
    for epoch in range(resumed_at):
        run_epoch(original, epoch)
    resumed = make()
    resumed.load_state_dict(pickle.loads(pickle.dumps(original.state_dict())))
    index = original.subset()[:9]
    assert resumed.mean_loss(index, torch.arange(9.0)) == original.mean_loss(index, torch.arange(9.0))
    for epoch in range(resumed_at, 8):
        assert run_epoch(resumed, epoch) == run_epoch(original, epoch)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"warm_up": -1}, "warm_up is -1"),
        ({"warm_up": 1.5}, "warm_up is 1.5"),
        ({"anneal_from": -1}, "anneal_from is -1"),
        ({"warm_up": 3, "anneal_from": 2}, "anneal_from is 2: it must be an integer of at least 3"),
    ],
)
def test_refuses_impossible_phases(make, wrong, message):
    with pytest.raises(ValueError, match=message):
        make(**wrong)


def weights_of(sampler, subset):
    return torch.stack([sampler.mean_loss(index, torch.ones(1, dtype=torch.float64)) for index in subset.split(1)])


@settings(max_examples=60, deadline=None)
@given(
    make=st.sampled_from([DynamicRandom, EpsilonGreedy, EpsilonUCB, InfoBatch, RS2]),
    num_samples=st.integers(10, 80),
    rate=st.floats(0, 0.8),
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, 4.0]), min_size=80, max_size=80),
    seed=st.integers(0, 99),
)
def test_weights_have_mean_one_and_are_proportional_to_one_over_the_keep_probability(
    make, num_samples, rate, scores, seed
):
    options = {"epsilon": 0.4} if issubclass(make, EpsilonGreedy) else {}
    sampler = make(num_samples, rate, rescale=True, seed=seed, **options)
    sampler.observe(torch.arange(num_samples), torch.tensor(scores)[:num_samples])
    sampler.set_epoch(1)
    weights = weights_of(sampler, sampler.select())
    assert weights.mean().item() == pytest.approx(1, abs=1e-6)
    scaled = weights * sampler.keep_probability()
    assert scaled.tolist() == pytest.approx([scaled[0].item()] * len(scaled), rel=1e-5)


@pytest.mark.parametrize("make", [DynamicRandom, RS2])
def test_equal_probabilities_leave_the_loss_as_it_is(make):
    sampler = make(40, 0.75, rescale=True)
    losses = torch.arange(10.0, requires_grad=True)
    loss = sampler.update(sampler.subset(), losses)
    loss.backward()
    assert loss.item() == 4.5
    assert losses.grad.tolist() == pytest.approx([0.1] * 10)


def test_a_loss_is_rescaled_before_anything_is_selected():
    assert DynamicRandom(40, 0.75, rescale=True).mean_loss(torch.arange(40), torch.ones(40)) == 0.25  # 30 are left out
    assert DynamicRandom(40, 0.75, rescale=True, warm_up=1).mean_loss(torch.arange(40), torch.ones(40)) == 1


def test_rescaled_epsilon_greedy_by_hand():
    sampler = EpsilonGreedy(10, 0.6, epsilon=0.5, rescale=True)  # keeps the 2 highest and 2 of the other 8
    sampler.update(torch.arange(10), torch.arange(10.0))
    sampler.set_epoch(1)
    for index in sampler.subset().tolist():  # keep probabilities 1 and 1/4: 1, 1, 4, 4 over their mean, 2.5
        weight = sampler.mean_loss(torch.tensor([index]), torch.ones(1))
        assert weight.item() == pytest.approx(0.4 if index in (8, 9) else 1.6)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(rate=st.sampled_from([0.3, 0.5, 0.8]), epsilon=st.sampled_from([0.2, 0.5, 1.0]), seed=st.integers(0, 99))
def test_the_expected_rescaled_mean_of_an_epoch_is_the_mean_over_all_samples(rate, epsilon, seed):
    values = torch.rand(30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for make in (DynamicRandom, lambda *args, **kwargs: EpsilonGreedy(*args, epsilon=epsilon, **kwargs)):
        means = []
        for draw in range(300):
            sampler = make(30, rate, rescale=True, seed=300 * seed + draw)
            sampler.observe(torch.arange(30), values)
            sampler.set_epoch(1)
            kept = sampler.subset()
            means.append(sampler.mean_loss(kept, values[kept]))
        means = torch.stack(means)
        assert abs(means.mean() - values.mean()) <= 5 * means.std() / 300**0.5 + 1e-6


def test_weights_are_one_in_epochs_on_all_samples(run_epoch):
    sampler = EpsilonGreedy(40, 0.5, warm_up=1, anneal_from=2, rescale=True)
    for epoch in range(4):
        run_epoch(sampler, epoch)
        assert (weights_of(sampler, sampler.subset()) == 1).all() == (epoch != 1)
    full = Full(40, rescale=True)
    assert full.mean_loss(full.subset(), torch.ones(40)) == 1


def test_rescaling_is_refused_where_no_probability_is_defined(make):
    sampler = make()
    if type(sampler) in (Full, DynamicRandom, EpsilonGreedy, EpsilonUCB, RS2, InfoBatch, RePB):
        return
    name = type(sampler).__name__
    with pytest.raises(ValueError, match=f"rescale is True: {name} does not select its samples with known probabil"):
        make(rescale=True)


def test_rescaling_is_refused_where_the_probability_is_zero():
    with pytest.raises(ValueError, match="rescale is True: with epsilon 0, samples with lower scores"):
        EpsilonGreedy(40, 0.5, epsilon=0.0, rescale=True)


def test_observing_is_recording_without_training(make):
    observed, updated = make(), make()
    index, losses = torch.tensor([3, 5]), torch.tensor([1.0, 2.0])
    observed.observe(index, losses)
    updated.update(index, losses)
    memory = observed.memory
    assert all(torch.equal(memory[name], tensor) for name, tensor in updated.memory.items())
    with pytest.raises(ValueError, match=r"index has shape \(2,\) and scores \(3,\)"):
        observed.observe(index, torch.ones(3))
