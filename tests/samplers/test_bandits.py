"""The bandits against a reference in NumPy, on random sequences of observations with many ties."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import UCB, UCB1, CautiousGreedy, EpsilonGreedy, EpsilonUCB, Proportional
from tests.samplers.conftest import ANY_SCORE, how_often, kept_at, observe

NUM, KEPT = 30, 12
SCORES = [0.0, 0.25, 0.5, 1.0, 4.0, float("nan")]
observations = st.lists(st.lists(st.sampled_from(SCORES), min_size=5, max_size=NUM), min_size=1, max_size=5)
alphas, bonuses, seeds = st.sampled_from([0.25, 0.5, 1.0]), st.sampled_from([0.0, 1.0, 3.0]), st.integers(0, 99)
pytestmark = pytest.mark.filterwarnings("ignore:.*not finite")


class Reference:
    """The equations of Raju et al., one sample at a time, in double precision."""

    def __init__(self, alpha, from_zero=False):
        self.alpha, self.from_zero = alpha, from_zero
        self.mean, self.var, self.count = np.full(NUM, np.inf), np.zeros(NUM), np.zeros(NUM)

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


def subsets(sampler, reference, epochs):
    """Yield the subset of each epoch, then record its scores in both."""
    for epoch, scores in enumerate(epochs):
        sampler.set_epoch(epoch)
        yield epoch, sampler.subset().tolist()
        index = sampler.indices()[: len(scores)]
        sampler.update(index, torch.tensor(scores[: len(index)]))
        for sample, score in zip(index.tolist(), scores, strict=False):
            reference.observe(sample, score)
    np.testing.assert_allclose(sampler.memory["mean"].numpy(), reference.mean, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(observations, alphas, st.booleans(), bonuses, seeds)
def test_ucb_against_the_reference(epochs, alpha, from_zero, c, seed):
    sampler, reference = UCB(NUM, 0.6, alpha=alpha, from_zero=from_zero, c=c, seed=seed), Reference(alpha, from_zero)
    for _, subset in subsets(sampler, reference, epochs):
        assert_highest(subset, reference.mean + c * reference.var, KEPT)
    np.testing.assert_allclose(sampler.memory["var"].numpy(), reference.var, rtol=1e-5, atol=1e-7)


@settings(max_examples=80, deadline=None)
@given(observations, st.booleans(), alphas, st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from([0.0, 3.0]), seeds)
def test_epsilon_greedy_and_epsilon_ucb_against_the_reference(epochs, with_bonus, alpha, epsilon, c, seed):
    own = {"alpha": alpha, "epsilon": epsilon, "seed": seed}
    sampler = EpsilonUCB(NUM, 0.6, c=c, **own) if with_bonus else EpsilonGreedy(NUM, 0.6, **own)
    reference, greedy = Reference(alpha), KEPT - round(epsilon * KEPT)
    for _, subset in subsets(sampler, reference, epochs):
        bound = reference.mean + (c if with_bonus else 0) * reference.var
        chosen = sorted(subset, key=lambda sample: -bound[sample])
        assert len(set(chosen)) == KEPT
        assert_highest(chosen[:greedy], bound, greedy)


@settings(max_examples=60, deadline=None)
@given(observations, alphas, bonuses, seeds)
def test_ucb1_against_the_reference(epochs, alpha, c, seed):
    sampler, reference = UCB1(NUM, 0.6, alpha=alpha, c=c, seed=seed), Reference(alpha)
    for epoch, subset in subsets(sampler, reference, epochs):
        bonus = np.sqrt(np.log(max(1, epoch)) / np.maximum(1, reference.count))
        bound = (reference.mean + c * bonus).astype(np.float32)
        assert_highest(subset, bound.round(5), KEPT)
    assert sampler.memory["count"].tolist() == reference.count.tolist()


@pytest.mark.parametrize(
    ("make", "means"),
    [
        (partial(UCB, 20, 0.5), [0.5] * 15 + [1.0] * 5),  # of the tied samples
        (partial(EpsilonGreedy, 20, 0.5, epsilon=0.5), list(range(20))),  # of the others
    ],
)
def test_ties_are_broken_and_the_rest_is_explored_evenly(make, means):
    counts = how_often(make, 400, means)
    assert counts[15:].tolist() == [400] * 5
    # 5 of the 15 other samples per draw: expectation 133, standard deviation 9.4
    assert (counts[:15] - 133).abs().max() < 5 * 9.4


def test_epsilon_greedy_with_fewer_other_samples_than_it_explores():
    sampler = EpsilonGreedy(10, 0.1, epsilon=1.0)
    observe(sampler, torch.arange(10.0))
    assert set(range(2, 10)) <= kept_at(sampler, 1)  # 8 highest, 1 of the other 2


def test_cautious_greedy_keeps_samples_last_that_look_like_another_class():
    sampler = CautiousGreedy(6, 0.5)
    observe(sampler, [-5.0, -4.0, -1.0, 3.0, 1.0, 2.0])
    assert kept_at(sampler, 1) == {0, 1, 2}
    sampler.observe(torch.tensor([2]), torch.tensor([4.0]))  # its average is now above 0
    assert kept_at(sampler, 2) == {0, 1, 4}  # filled with the least suspicious one


def test_cautious_greedy_averages_all_scores_of_a_sample():
    sampler = CautiousGreedy(3, 0.6, alpha=1.0)
    for score in (-3.0, 1.0, 1.0):
        sampler.observe(torch.tensor([0, 1]), torch.tensor([score, 0.5]))
    sampler.observe(torch.tensor([2]), torch.tensor([-9.0]))
    assert kept_at(sampler, 1) == {0}  # -1/3 on average, and the highest last score of the trusted


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(ANY_SCORE, min_size=NUM, max_size=NUM), min_size=1, max_size=4),
    st.sampled_from([0.0, 1e-30, 1.0, 1e30, 1e38]),
    st.booleans(),
)
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
    means = torch.tensor([0.0, 1.0, 2.0, 5.0])
    counts, first = how_often(partial(Proportional, 4, 0.5), 600, means), means / means.sum()
    second = [sum(first[i] * means[j] / (means.sum() - means[i]) for i in range(1, 4) if i != j) for j in range(4)]
    assert (counts / 600 - first - torch.tensor(second)).abs().max() < 5 * 0.5 / 600**0.5
    assert counts[0] == 0
