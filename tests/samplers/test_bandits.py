"""The bandits against a reference in NumPy, on random sequences of observations with many ties."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib import UCB, UCB1, CautiousGreedy, EpsilonGreedy, EpsilonUCB, Proportional
from tests.samplers.conftest import how_often, kept_at, observe

NUM, KEPT = 30, 12
SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0, 4.0, float("nan")])
pytestmark = pytest.mark.filterwarnings("ignore:.*not finite")


class Reference:
    """The equations of Raju et al. and of UCB1, one sample at a time, in double precision."""

    def __init__(self, alpha, from_zero):
        self.alpha, self.from_zero = alpha, from_zero
        self.mean, self.var, self.count = np.full(NUM, np.inf), np.zeros(NUM), np.zeros(NUM)

    def observe(self, index, score):
        if not np.isfinite(score):
            return
        self.count[index] += 1
        is_first = np.isinf(self.mean[index])
        if is_first and not self.from_zero:
            self.mean[index] = score
            return
        before = 0 if is_first else self.mean[index]
        self.mean[index] = (1 - self.alpha) * before + self.alpha * score
        self.var[index] = (1 - self.alpha) * self.var[index] + self.alpha * (score - before) ** 2

    def bound(self, make, c, epoch):
        bonus = {
            EpsilonGreedy: np.zeros(NUM),
            UCB: c * self.var,
            EpsilonUCB: c * self.var,
            UCB1: c * np.sqrt(np.log(max(1, epoch)) / np.maximum(1, self.count)),
        }
        return (self.mean + bonus[make]).astype(np.float32).round(5)


@settings(max_examples=150, deadline=None)
@given(
    make=st.sampled_from([UCB, UCB1, EpsilonGreedy, EpsilonUCB]),
    epochs=st.lists(st.lists(SCORES, min_size=5, max_size=NUM), min_size=1, max_size=5),
    alpha=st.sampled_from([0.25, 0.5, 1.0]),
    from_zero=st.booleans(),
    c=st.sampled_from([0.0, 1.0, 3.0]),
    epsilon=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_the_samples_with_the_highest_bounds_against_the_reference(make, epochs, alpha, from_zero, c, epsilon, seed):
    own = {} if make is EpsilonGreedy else {"c": c}
    own |= {"epsilon": epsilon} if issubclass(make, EpsilonGreedy) else {}
    sampler = make(NUM, 0.6, alpha=alpha, from_zero=from_zero, seed=seed, **own)
    reference, greedy = Reference(alpha, from_zero), KEPT - round(own.get("epsilon", 0) * KEPT)
    for epoch, scores in enumerate(epochs):
        sampler.set_epoch(epoch)
        bound = reference.bound(make, c, epoch)
        chosen = sorted(sampler.subset().tolist(), key=lambda sample: -bound[sample])
        assert len(set(chosen)) == KEPT
        left_out = sorted(set(range(NUM)) - set(chosen[:greedy]))
        assert not greedy or bound[chosen[:greedy]].min() >= bound[left_out].max()  # however ties are broken
        index = sampler.indices()[: len(scores)]
        sampler.update(index, torch.tensor(scores[: len(index)]))
        for sample, score in zip(index.tolist(), scores, strict=False):
            reference.observe(sample, score)
    for name, values in sampler.memory.items():
        np.testing.assert_allclose(values.numpy(), getattr(reference, name), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("std_bonus", [False, True])
def test_samples_without_a_score_come_first_whatever_the_bonus(std_bonus):
    sampler = UCB(8, 0.5, c=1e38, std_bonus=std_bonus)
    for sign in (1, -1, 1):
        sampler.observe(torch.arange(6), sign * torch.tensor([0.0, 1.0, 1e15, -1e15, 3e38, -3e38]))
    assert sampler.memory["var"].isfinite().all()
    assert kept_at(sampler, 1) >= {6, 7}


@pytest.mark.parametrize(
    ("make", "means"),
    [
        (partial(UCB, 20, 0.5), [0.5] * 15 + [1.0] * 5),  # of the tied samples
        (partial(EpsilonGreedy, 20, 0.5, epsilon=0.5), list(range(20))),  # of the others
    ],
)
def test_ties_are_broken_and_the_rest_is_explored_evenly(make, means):
    counts = how_often(make, 200, means)
    assert counts[15:].tolist() == [200] * 5
    # 5 of the 15 other samples per draw: expectation 67, standard deviation 6.7
    assert (counts[:15] - 67).abs().max() < 5 * 6.7


def test_epsilon_greedy_with_fewer_other_samples_than_it_explores():
    sampler = EpsilonGreedy(10, 0.1, epsilon=1.0)
    observe(sampler, torch.arange(10.0))
    assert set(range(2, 10)) <= kept_at(sampler, 1)  # 8 highest, 1 of the other 2


def test_rescaled_epsilon_greedy_by_hand():
    sampler = EpsilonGreedy(10, 0.6, epsilon=0.5, rescale=True)  # keeps the 2 highest and 2 of the other 8
    observe(sampler, torch.arange(10.0))
    for index in kept_at(sampler, 1):  # keep probabilities 1 and 1/4: 1, 1, 4, 4 over their mean, 2.5
        weight = sampler.mean_loss(torch.tensor([index]), torch.ones(1))
        assert weight.item() == pytest.approx(0.4 if index in (8, 9) else 1.6)
    with pytest.raises(ValueError, match="rescale is True: with epsilon 0, samples with lower scores"):
        EpsilonGreedy(40, 0.5, epsilon=0.0, rescale=True)
    EpsilonGreedy(40, 0.0, epsilon=0.0, rescale=True)  # keeps all


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


def test_proportional_draws_one_after_the_other_in_proportion_to_the_means():
    means = torch.tensor([0.0, 1.0, 2.0, 5.0])
    counts, first = how_often(partial(Proportional, 4, 0.5), 600, means), means / means.sum()
    second = [sum(first[i] * means[j] / (means.sum() - means[i]) for i in range(1, 4) if i != j) for j in range(4)]
    assert (counts / 600 - first - torch.tensor(second)).abs().max() < 5 * 0.5 / 600**0.5
    assert counts[0] == 0
