"""Samplers that use the last scores: by hand, and against the equations one sample at a time."""

import math

import pytest
import torch

from dynprune_lib import DynamicEL2N, InstanceEarlyStopping, ProgressiveDropout


def observe(sampler, *losses):
    for values in losses:
        sampler.observe(torch.arange(sampler.num_samples), torch.tensor(values))


def kept_at(sampler, epoch):
    sampler.set_epoch(epoch)
    return set(sampler.subset().tolist())


def test_el2n_keeps_the_largest_errors():
    sampler = DynamicEL2N(6, 0.5, warm_up=1)
    assert kept_at(sampler, 0) == set(range(6))
    observe(sampler, [0.1, 0.9, 0.3, 0.8, 0.2, 0.7])
    assert kept_at(sampler, 1) == {1, 3, 5}
    observe(sampler, [0.9, 0.1, 0.8, 0.2, 0.7, 0.3])  # only the last score counts
    assert kept_at(sampler, 2) == {0, 2, 4}


def test_second_differences_by_hand():
    sampler = InstanceEarlyStopping(4, 0.5, threshold=0.25)
    observe(sampler, [4.0, 1.0, 2.0, 0.0], [3.0, 1.0, 1.0, 0.5])
    assert sampler.memory["second"].tolist() == [math.inf] * 4  # two losses have no second difference
    observe(sampler, [2.0, 1.0, 0.5, 0.0])
    # 4, 3, 2 and 1, 1, 1 change linearly; 2, 1, 0.5 has -0.5 - (-1) = 0.5; 0, 0.5, 0 has -0.5 - 0.5 = -1
    assert sampler.memory["second"].tolist() == [0.0, 0.0, 0.5, 1.0]
    assert kept_at(sampler, 1) == {2, 3}
    observe(sampler, [0.5, 1.0, 0.0, 0.5])
    assert sampler.memory["second"].tolist() == [0.5, 0.0, 0.0, 1.0]
    assert kept_at(sampler, 2) == {0, 3}  # sample 0 is kept again


def test_second_differences_of_samples_seen_at_different_times():
    generator = torch.Generator().manual_seed(0)
    sampler, seen = InstanceEarlyStopping(20, 0.5), {sample: [] for sample in range(20)}
    for _ in range(30):
        index = torch.randperm(20, generator=generator)[:7]
        losses = torch.rand(7, generator=generator)
        sampler.observe(index, losses)
        for sample, value in zip(index.tolist(), losses.tolist(), strict=True):
            seen[sample].append(value)
    for sample, losses in seen.items():
        expected = abs(losses[-1] - 2 * losses[-2] + losses[-3]) if len(losses) > 2 else math.inf
        assert sampler.memory["second"][sample].item() == pytest.approx(expected, abs=2e-3)  # stored in float16


def test_samples_classified_with_confidence_are_skipped():
    sampler = ProgressiveDropout(6, 0.5, confidence=0.3)
    probability = [0.9, 0.31, 0.29, 0.1, 0.8, 0.05]
    observe(sampler, [-math.log(p) for p in probability])
    assert kept_at(sampler, 1) == {2, 3, 5}


def test_fill_epoch_draws_from_too_many_and_adds_to_too_few():
    counts = torch.zeros(10)
    for seed in range(1_000):
        sampler = ProgressiveDropout(10, 0.6, seed=seed)
        observe(sampler, [9.0] * 8 + [0.0] * 2)
        counts[list(kept_at(sampler, 1))] += 1
    assert counts[8:].tolist() == [0, 0]
    assert abs(counts[:8] / 1_000 - 0.5).max() < 5 * (0.25 / 1_000) ** 0.5
    filled = ProgressiveDropout(10, 0.6)
    observe(filled, [9.0] * 2 + [0.0] * 8)
    kept = kept_at(filled, 1)
    assert {0, 1} <= kept
    assert len(kept) == 4


@pytest.mark.parametrize("make", [InstanceEarlyStopping, ProgressiveDropout, DynamicEL2N])
def test_samples_without_a_score_are_preferred(make):
    sampler = make(10, 0.8)
    for _ in range(3):
        sampler.observe(torch.arange(8), torch.zeros(8))
    assert kept_at(sampler, 1) == {8, 9}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InstanceEarlyStopping(9, threshold=0.0), "threshold is 0.0"),
        (lambda: InstanceEarlyStopping(9, threshold=float("nan")), "threshold is nan"),
        (lambda: ProgressiveDropout(9, confidence=1.0), "confidence is 1.0"),
        (lambda: ProgressiveDropout(9, confidence=0.0), "confidence is 0.0"),
    ],
)
def test_refuses_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
