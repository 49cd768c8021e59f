"""The bandits against a reference in NumPy, on random sequences of observations with many ties."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import UCB, UCB1, CautiousGreedy, EpsilonGreedy, EpsilonUCB, Proportional

observations = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 4.0, float("nan")]), min_size=5, max_size=30),
    min_size=1,
    max_size=5,
)


class Reference:
    """The equations of Raju et al., one sample at a time, in double precision."""

    def __init__(self, num_samples, alpha, from_zero=False):
        self.alpha = alpha
        self.from_zero = from_zero
        self.mean = np.full(num_samples, np.inf)
        self.var = np.zeros(num_samples)
        self.count = np.zeros(num_samples)

    def observe(self, index, score):
        if not np.isfinite(score):
            return
        self.count[index] += 1
        if np.isinf(self.mean[index]) and not self.from_zero:
            self.mean[index] = score
            return
        before = 0 if np.isinf(self.mean[index]) else self.mean[index]
        self.mean[index] = (1 - self.alpha) * before + self.alpha * score
        self.var[index] = (1 - self.alpha) * self.var[index] + self.alpha * (score - before) ** 2


def assert_highest(chosen, scores, k):
    """Check that `chosen` are k indices with the highest scores, however ties are broken."""
    assert len(chosen) == len(set(chosen)) == k
    left_out = sorted(set(range(len(scores))) - set(chosen))
    if k and left_out:
        assert min(scores[list(chosen)]) >= max(scores[left_out])


@settings(max_examples=60, deadline=None)
@given(
    observations,
    st.sampled_from([0.25, 0.5, 1.0]),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 3.0]),
    st.integers(0, 99),
)
@pytest.mark.filterwarnings("ignore:.*not finite")
def test_ucb_against_the_reference(epochs, alpha, from_zero, c, seed):
    num_samples = 30
    sampler = UCB(num_samples, 0.6, alpha=alpha, from_zero=from_zero, c=c, seed=seed)
    reference = Reference(num_samples, alpha, from_zero)
    for epoch, scores in enumerate(epochs):
        sampler.set_epoch(epoch)
        assert_highest(sampler.subset().tolist(), reference.mean + c * reference.var, 12)
        observe(sampler, reference, sampler.indices()[: len(scores)], scores)
    np.testing.assert_allclose(sampler.memory["mean"].numpy(), reference.mean, rtol=1e-6)
    np.testing.assert_allclose(sampler.memory["var"].numpy(), reference.var, rtol=1e-5, atol=1e-7)


@settings(max_examples=80, deadline=None)
@given(
    observations,
    st.sampled_from([EpsilonGreedy, EpsilonUCB]),
    st.sampled_from([0.25, 0.5, 1.0]),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.sampled_from([0.0, 3.0]),
    st.integers(0, 99),
)
@pytest.mark.filterwarnings("ignore:.*not finite")
def test_epsilon_greedy_and_epsilon_ucb_against_the_reference(epochs, make, alpha, epsilon, c, seed):
    num_samples, kept = 30, 12
    options = {"c": c} if make is EpsilonUCB else {}
    sampler = make(num_samples, 0.6, alpha=alpha, epsilon=epsilon, seed=seed, **options)
    reference = Reference(num_samples, alpha)
    greedy = kept - round(epsilon * kept)
    for epoch, scores in enumerate(epochs):
        sampler.set_epoch(epoch)
        bound = reference.mean + options.get("c", 0) * reference.var
        chosen = sorted(sampler.subset().tolist(), key=lambda sample: -bound[sample])
        assert len(set(chosen)) == kept
        assert_highest(chosen[:greedy], bound, greedy)
        observe(sampler, reference, sampler.indices()[: len(scores)], scores)
    np.testing.assert_allclose(sampler.memory["mean"].numpy(), reference.mean, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(observations, st.sampled_from([0.25, 1.0]), st.sampled_from([0.0, 1.0, 3.0]), st.integers(0, 99))
@pytest.mark.filterwarnings("ignore:.*not finite")
def test_ucb1_against_the_reference(epochs, alpha, c, seed):
    num_samples = 30
    sampler = UCB1(num_samples, 0.6, alpha=alpha, c=c, seed=seed)
    reference = Reference(num_samples, alpha)
    for epoch, scores in enumerate(epochs):
        sampler.set_epoch(epoch)
        bonus = np.sqrt(np.log(max(1, epoch)) / np.maximum(1, reference.count))
        bound = (reference.mean + c * bonus).astype(np.float32)
        assert_highest(sampler.subset().tolist(), bound.round(5), 12)
        observe(sampler, reference, sampler.indices()[: len(scores)], scores)
    assert sampler.memory["count"].tolist() == reference.count.tolist()


def test_ucb1_returns_to_every_sample_and_ucb_does_not():
    losses = torch.linspace(0, 1, 40)
    seen = {UCB: torch.zeros(40), UCB1: torch.zeros(40)}
    for make, counts in seen.items():
        sampler = make(40, 0.5)
        for epoch in range(60):
            sampler.set_epoch(epoch)
            index = sampler.indices()
            sampler.update(index, losses[index])
            counts[index] += 1
    assert seen[UCB].min() == 1
    assert seen[UCB1].min() > 3


def observe(sampler, reference, index, scores):
    scores = scores[: len(index)]
    sampler.update(index, torch.tensor(scores))
    for sample, score in zip(index.tolist(), scores, strict=True):
        reference.observe(sample, score)


def test_the_averages_of_a_hand_worked_example():
    sampler = UCB(2, 0.5, alpha=0.5)
    for score in (2.0, 4.0, 1.0):
        sampler.update(torch.tensor([1]), torch.tensor([score]))
    # mean: 2, then (2 + 4) / 2 = 3, then (3 + 1) / 2 = 2; var: 0, then (0 + 2^2) / 2 = 2, then (2 + 2^2) / 2 = 3
    assert sampler.memory["mean"].tolist() == [float("inf"), 2.0]
    assert sampler.memory["var"].tolist() == [0.0, 3.0]


def test_every_sample_is_tried_before_any_is_skipped_twice():
    for make in (UCB, lambda n, rate: EpsilonGreedy(n, rate, epsilon=0.0)):
        sampler = make(100, 0.7)
        seen = set()
        for epoch in range(4):  # 30 per epoch
            sampler.set_epoch(epoch)
            index = sampler.indices()
            seen |= set(index.tolist())
            sampler.update(index, torch.rand(len(index), generator=torch.Generator().manual_seed(epoch)))
        assert seen == set(range(100))


@pytest.mark.parametrize(
    ("make", "means", "first"),
    [
        (UCB, torch.tensor([0.5] * 15 + [1.0] * 5), 15),  # the tied samples
        (lambda *args, **kwargs: EpsilonGreedy(*args, epsilon=0.5, **kwargs), torch.arange(20.0), 15),  # the others
    ],
)
def test_ties_are_broken_and_the_rest_is_explored_evenly(make, means, first):
    counts = torch.zeros(20)
    for seed in range(400):
        sampler = make(20, 0.5, seed=seed)
        sampler.update(torch.arange(20), means)
        sampler.set_epoch(1)
        counts[sampler.subset()] += 1
    assert counts[first:].tolist() == [400] * 5
    # 5 of the 15 other samples per draw: expectation 133, standard deviation 9.4
    assert (counts[:first] - 133).abs().max() < 5 * 9.4


def test_epsilon_greedy_with_fewer_other_samples_than_it_explores():
    sampler = EpsilonGreedy(10, 0.1, epsilon=1.0)
    sampler.update(torch.arange(10), torch.arange(10).float())
    sampler.set_epoch(1)
    assert set(range(2, 10)) <= set(sampler.subset().tolist())  # 8 highest, 1 of the other 2


def test_cautious_greedy_keeps_samples_last_that_look_like_another_class():
    sampler = CautiousGreedy(6, 0.5)
    scores = torch.tensor([-5.0, -4.0, -1.0, 3.0, 1.0, 2.0])
    sampler.observe(torch.arange(6), scores)
    sampler.set_epoch(1)
    assert sampler.subset().tolist() == [0, 1, 2]
    sampler.observe(torch.tensor([2]), torch.tensor([4.0]))  # its average is now above 0
    sampler.set_epoch(2)
    assert sampler.subset().tolist() == [0, 1, 4]  # filled with the least suspicious one


def test_cautious_greedy_averages_all_scores_of_a_sample():
    sampler = CautiousGreedy(3, 0.6, alpha=1.0)
    for score in (-3.0, 1.0, 1.0):
        sampler.observe(torch.tensor([0, 1]), torch.tensor([score, 0.5]))
    sampler.observe(torch.tensor([2]), torch.tensor([-9.0]))
    sampler.set_epoch(1)
    assert sampler.subset().tolist() == [0]  # -1/3 on average, and the highest last score of the trusted


NUM = 24
any_score = st.one_of(st.floats(width=32), st.sampled_from([0.0, 3e38, -3e38, 1e-45, torch.nan, torch.inf, -torch.inf]))
histories = st.lists(st.lists(any_score, min_size=NUM, max_size=NUM), min_size=1, max_size=4)


@pytest.mark.filterwarnings("ignore:.*not finite")
@settings(max_examples=40, deadline=None)
@given(histories, st.sampled_from([0.0, 1e-30, 1.0, 1e30, 1e38]), st.booleans())
def test_the_bound_of_ucb_is_never_nan_and_samples_without_a_score_come_first(history, c, std_bonus):
    sampler = UCB(NUM, 0.5, c=c, std_bonus=std_bonus, alpha=0.7)
    for epoch, scores in enumerate(history):
        sampler.observe(torch.arange(NUM - 3), torch.tensor(scores)[: NUM - 3])
        sampler.set_epoch(epoch + 1)
        assert sampler.memory["var"].isfinite().all()
        unknown = set((sampler.memory["mean"] == torch.inf).nonzero().squeeze(1).tolist())
        assert len(set(sampler) & unknown) == min(len(unknown), len(sampler))


def test_rescaled_epsilon_greedy_by_hand():
    sampler = EpsilonGreedy(10, 0.6, epsilon=0.5, rescale=True)  # keeps the 2 highest and 2 of the other 8
    sampler.update(torch.arange(10), torch.arange(10.0))
    sampler.set_epoch(1)
    for index in sampler.subset().tolist():  # keep probabilities 1 and 1/4: 1, 1, 4, 4 over their mean, 2.5
        weight = sampler.mean_loss(torch.tensor([index]), torch.ones(1))
        assert weight.item() == pytest.approx(0.4 if index in (8, 9) else 1.6)


def test_rescaling_is_refused_where_the_probability_is_zero():
    with pytest.raises(ValueError, match="rescale is True: with epsilon 0, samples with lower scores"):
        EpsilonGreedy(40, 0.5, epsilon=0.0, rescale=True)


def test_proportional_draws_one_after_the_other_in_proportion_to_the_means():
    means, counts = torch.tensor([0.0, 1.0, 2.0, 5.0]), torch.zeros(4)
    for seed in range(600):
        sampler = Proportional(4, 0.5, seed=seed)
        sampler.observe(torch.arange(4), means)
        sampler.set_epoch(1)
        counts[sampler.subset()] += 1
    first = means / means.sum()
    second = [sum(first[i] * means[j] / (means.sum() - means[i]) for i in range(1, 4) if i != j) for j in range(4)]
    assert (counts / 600 - first - torch.tensor(second)).abs().max() < 5 * 0.5 / 600**0.5
    assert counts[0] == 0
