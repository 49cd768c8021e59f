"""Extreme scores: every epoch still has exactly len(sampler) different samples."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynprune_lib import UCB, DynamicRandom, InfoBatch, InstanceEarlyStopping, SeTa, StaticScored
from dynprune_lib.samplers.clusters import BINS, cluster_cuts
from dynprune_lib.samplers.sampler import MAX_SCORE
from dynprune_lib.samplers.selection import topk_random_ties

NUM = 24
NAN, INF, LARGEST = float("nan"), float("inf"), torch.finfo(torch.float32).max
any_score = st.one_of(st.floats(width=32), st.sampled_from([0.0, -LARGEST, LARGEST, 1e20, NAN, INF, -INF, 1e-45]))
histories = st.lists(st.lists(any_score, min_size=NUM, max_size=NUM), min_size=1, max_size=4)

pytestmark = pytest.mark.filterwarnings("ignore:.*not finite", "ignore:.*never requested")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(histories, st.integers(0, 9), st.sampled_from([0.1, 0.5, 0.9]), st.booleans())
def test_epochs_have_the_promised_length_for_any_scores(make, history, epoch, rate, all_at_once):
    sampler = make(NUM, rate)
    for scores in history:
        sampler.set_epoch(epoch)
        index = torch.arange(NUM) if all_at_once else sampler.subset()
        sampler.observe(index, torch.tensor(scores)[index])
        epoch += 1
        sampler.set_epoch(epoch)
        samples = list(sampler)
        assert len(samples) == len(set(samples)) == len(sampler)
        assert set(samples) <= set(range(NUM))
    assert not any(tensor.isnan().any() for tensor in sampler.memory.values())


@settings(max_examples=40, deadline=None)
@given(histories, st.sampled_from([0.0, 1e-30, 1.0, 1e30, 1e38]), st.booleans())
def test_the_bound_of_ucb_is_never_nan_and_samples_without_a_score_come_first(history, c, std_bonus):
    sampler = UCB(NUM, 0.5, c=c, std_bonus=std_bonus, alpha=0.7)
    for epoch, scores in enumerate(history):
        sampler.observe(torch.arange(NUM - 3), torch.tensor(scores)[: NUM - 3])
        sampler.set_epoch(epoch + 1)
        assert sampler.memory["var"].isfinite().all()
        unknown = set((sampler.memory["mean"] == INF).nonzero().squeeze(1).tolist())
        assert len(set(sampler) & unknown) == min(len(unknown), len(sampler))


@pytest.mark.parametrize("scores", [torch.tensor([3e38, -3e38]), torch.tensor([1e300, -1e300], dtype=torch.float64)])
def test_huge_scores_are_clamped_not_lost(scores):
    sampler = UCB(4, 0.5)
    sampler.observe(torch.tensor([0, 1]), scores)
    assert sampler.memory["mean"].tolist() == [torch.tensor(MAX_SCORE), -torch.tensor(MAX_SCORE), INF, INF]
    sampler.observe(torch.tensor([0, 1]), -scores)
    assert sampler.memory["mean"][:2].tolist() == [0, 0]
    assert sampler.memory["var"][:2].tolist() == pytest.approx([2 * MAX_SCORE**2] * 2)


@settings(max_examples=200, deadline=None)
@given(st.lists(any_score, min_size=1, max_size=20), st.data())
def test_topk_returns_k_different_samples(scores, data):
    k = data.draw(st.integers(0, len(scores)))
    chosen = topk_random_ties(torch.tensor(scores), k, torch.Generator()).tolist()
    assert len(chosen) == len(set(chosen)) == k
    known = torch.tensor(scores).nan_to_num(nan=INF, posinf=INF, neginf=-INF)
    assert known[chosen].sort().values.tolist() == known.sort().values[len(scores) - k :].tolist()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_static_scores_of_any_real_type(dtype):
    scores = torch.tensor([0, 1, 0, 1]).to(dtype)
    assert StaticScored(4, 0.5, scores=scores).subset().tolist() == [1, 3]


def test_large_integers_are_compared_exactly():
    assert StaticScored(4, 0.75, scores=2**60 + torch.arange(4)).subset().tolist() == [3]


def test_a_selection_of_another_length_is_refused():
    class Short(DynamicRandom):
        def select(self):
            return super().select()[1:]

    with pytest.raises(RuntimeError, match="select returned 19 samples, not 20"):
        list(Short(40, 0.5))


def test_differences_that_overflow_float16_keep_the_sample():
    sampler = InstanceEarlyStopping(2, 0.5)
    for loss in (0.0, 1e6, 0.0, 1e6):
        sampler.observe(torch.arange(2), torch.tensor([loss, 1.0]))
    assert sampler.memory["second"].tolist() == [INF, 0]
    sampler.set_epoch(1)
    assert sampler.subset().tolist() == [0]


def test_infobatch_without_a_finite_score_draws_from_all_samples():
    sampler = InfoBatch(10, 0.5)
    sampler.observe(torch.arange(10), torch.full((10,), NAN))
    sampler.set_epoch(1)
    kept = sampler.subset()
    assert len(kept) == 5
    assert sampler.mean_loss(kept, torch.ones(5)) == 1


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-30, 1.0, MAX_SCORE])
@pytest.mark.parametrize("num_samples", [40, 2 * BINS])
@pytest.mark.filterwarnings("error")
def test_seta_on_scores_of_any_scale(scale, num_samples):
    losses = (torch.arange(num_samples) % 2) * torch.tensor(scale)
    cuts = cluster_cuts(losses.numpy(), 3)
    assert (cuts[1:] >= cuts[:-1]).all()
    sampler = SeTa(num_samples, 0.5, groups=2, window=0.5)
    for values in (losses, -losses, losses.flip(0) * 2 - scale, torch.full((num_samples,), scale)):
        sampler.observe(torch.arange(num_samples), values)
        sampler.set_epoch(sampler.epoch + 1)
        assert len(set(sampler)) == num_samples // 2
