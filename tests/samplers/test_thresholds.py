"""Rules that decide for each sample by itself: what their lengths are, and each rule by hand and on average."""

import math
from functools import partial

import pytest
import torch

from dynprune_lib import InfoBatch, InstanceEarlyStopping, ProgressiveDropout, RePB, SeTa
from tests.samplers.conftest import how_often, kept_at, observe


def rule(num_samples=40, prune_rate=0.0, **settings):
    return ProgressiveDropout(num_samples, prune_rate, fill=False, **settings)


def test_the_length_of_an_epoch_is_known_before_it_begins_and_the_number_of_steps_is_an_upper_bound(run_epoch):
    sampler, lengths, steps = rule(warm_up=1, anneal_from=8), [], 0
    bound = sampler.total_steps(10, batch_size=4)
    for epoch in range(10):
        sampler.set_epoch(epoch)
        lengths.append(len(sampler))
        assert sampler.samples_in(epoch) == lengths[-1]
        order = run_epoch(sampler, epoch, batch_size=4)
        assert len(order) == len(set(order)) == lengths[-1] <= sampler.greatest_length(epoch)
        steps += math.ceil(len(order) / 4)
        assert sampler.steps_left(10, batch_size=4) <= bound - steps
        assert sampler.samples_in(epoch + 1) == 40  # at most: it is not selected yet
    assert steps < bound == 100
    assert lengths[:1] + lengths[8:] == [40, 40, 40]
    assert len(set(lengths)) > 2


def test_an_epoch_has_at_least_one_sample_and_at_most_what_the_prune_rate_says():
    sampler = rule(6)
    observe(sampler, [0.0] * 6)
    assert len(kept_at(sampler, 1)) == len(sampler) == 1
    assert sampler.wanted == 0.0
    sampler = rule(6, 0.5)
    observe(sampler, [9.0] * 5 + [0.0])
    assert 5 not in kept_at(sampler, 1)
    assert (len(sampler), sampler.wanted) == (3, 5 / 6)
    too_long = rule(6).state_dict() | {"settings": sampler.settings()}
    with pytest.raises(ValueError, match="subset of this state"):
        sampler.load_state_dict(too_long)


# InfoBatch -----------------------------------------------------------------------------------------------------------

# six of ten losses are below the mean, 2.5
LOSSES = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def infobatch(rate, losses=LOSSES, **options):
    """Return a sampler that has recorded the losses, and its subset."""
    sampler = InfoBatch(len(losses), rate, **options)
    observe(sampler, losses)
    sampler.set_epoch(1)
    return sampler, sampler.subset()


def weights_of(sampler, subset):
    return [round(sampler.mean_loss(sample, torch.ones(1)).item(), 4) for sample in subset.split(1)]


@pytest.mark.parametrize(
    ("rate", "options", "weights"),
    [
        (0.3, {}, [1.4] * 3 + [0.7] * 4),  # 7 = 4 + half of 6, as in the paper: 2 and 1 over their mean
        (0.1, {}, [1.08] * 5 + [0.9] * 4),  # 9 = 4 + 5 of 6, r is 1/6: 1.2 and 1 over their mean, 10 / 9
        (0.0, {"fill": False}, [2.0] * 3 + [1.0] * 4),  # the epochs and the weights of the paper
    ],
)
def test_epochs_of_infobatch_by_hand(rate, options, weights):
    sampler, subset = infobatch(rate, **options)
    assert {6, 7, 8, 9} <= set(subset.tolist())
    assert weights_of(sampler, subset) == weights
    assert sampler.wanted == 0.7


def test_a_shorter_epoch_is_a_random_part_of_that_of_the_paper():
    counts = torch.zeros(10)
    for seed in range(300):
        sampler, subset = infobatch(0.7, seed=seed)  # 3 of those 7
        counts[subset] += 1
        paper = torch.tensor([2.0 if sample < 6 else 1.0 for sample in subset.tolist()])
        assert weights_of(sampler, subset) == pytest.approx((paper / paper.mean()).tolist(), abs=1e-4)
    expected = torch.tensor([3 / 7 / 2] * 6 + [3 / 7] * 4)
    assert (abs(counts / 300 - expected) < 5 * (expected * (1 - expected) / 300).sqrt()).all()


@pytest.mark.filterwarnings("ignore:.*not finite")
def test_samples_without_a_loss_count_as_not_learned():
    some = torch.where(torch.arange(10) < 8, LOSSES, torch.nan)  # five of the others are below the mean, 1.75
    assert {5, 6, 7, 8, 9} <= set(infobatch(0.3, some)[1].tolist())
    sampler, kept = infobatch(0.5, torch.full((10,), torch.nan))
    assert len(kept) == 5
    assert sampler.mean_loss(kept, torch.ones(5)) == 1


# Instance-dependent early stopping -----------------------------------------------------------------------------------


def test_second_differences_by_hand():
    sampler = InstanceEarlyStopping(4, 0.5, threshold=0.25)
    assert sampler.wanted is None
    observe(sampler, [4.0, 1.0, 2.0, 0.0], [3.0, 1.0, 1.0, 0.5])
    assert sampler.memory["second"].tolist() == [math.inf] * 4  # two losses have no second difference
    observe(sampler, [2.0, 1.0, 0.5, 0.0])
    # 4, 3, 2 and 1, 1, 1 change linearly; 2, 1, 0.5 has -0.5 - (-1) = 0.5; 0, 0.5, 0 has -0.5 - 0.5 = -1
    assert sampler.memory["second"].tolist() == [0.0, 0.0, 0.5, 1.0]
    assert kept_at(sampler, 1) == {2, 3}
    assert (len(sampler), sampler.wanted) == (2, 0.5)
    sampler.observe(torch.tensor([2, 0]), torch.tensor([0.0, 0.5]))  # the others are not trained on
    assert sampler.memory["second"].tolist() == [0.5, 0.0, 0.0, 1.0]
    assert kept_at(sampler, 2) == {0, 3}  # sample 0 is kept again


def test_differences_that_overflow_float16_keep_the_sample():
    sampler = InstanceEarlyStopping(2, 0.5)
    observe(sampler, *([loss, 1.0] for loss in (0.0, 1e6, 0.0, 1e6)))
    assert sampler.memory["second"].tolist() == [math.inf, 0]
    assert kept_at(sampler, 1) == {0}


# Progressive dropout, and how an epoch is filled up ------------------------------------------------------------------


def test_samples_classified_with_confidence_are_skipped():
    sampler = ProgressiveDropout(6, 0.5, confidence=0.3)
    observe(sampler, [-math.log(probability) for probability in (0.9, 0.31, 0.29, 0.1, 0.8, 0.05)])
    assert kept_at(sampler, 1) == {2, 3, 5}


@pytest.mark.parametrize(("wanted", "shares"), [(8, [0.5] * 8 + [0] * 2), (2, [1] * 2 + [0.25] * 8)])
def test_an_epoch_is_drawn_from_too_many_and_filled_up_from_the_others(wanted, shares):
    counts = how_often(partial(ProgressiveDropout, 10, 0.6), 200, [9.0] * wanted + [0.0] * (10 - wanted))
    expected = torch.tensor(shares)
    assert (abs(counts / 200 - expected) <= 5 * (expected * (1 - expected) / 200) ** 0.5).all()


# SeTa ----------------------------------------------------------------------------------------------------------------


def test_the_window_slides_from_easy_to_hard_and_restarts():
    sampler, windows = SeTa(20, 0.5, groups=4, window=0.5), []
    observe(sampler, torch.tensor([0.0, 10.0, 20.0, 30.0]).repeat_interleave(5) + torch.arange(20) / 100)
    for epoch in range(1, 5):
        windows.append(sorted({sample // 5 for sample in kept_at(sampler, epoch)}))
    assert windows == [[1, 2], [2, 3], [0, 1], [1, 2]]


def test_samples_without_a_score_are_in_every_window():
    sampler = SeTa(10, 0.5, groups=2, window=0.5)
    sampler.observe(torch.arange(8), torch.tensor([0.0] * 5 + [9.0] * 3))
    assert kept_at(sampler, 1) == {5, 6, 7, 8, 9}


def test_random_subsets_at_the_end():
    sampler, kept, wanted = SeTa(10, 0.5, groups=2, window=0.5, random_from=4), [], []
    observe(sampler, [0.0] * 5 + [9.0] * 5)
    for epoch in range(3, 8):
        kept.append(frozenset(kept_at(sampler, epoch)))
        wanted.append(sampler.wanted)
    assert wanted == [0.5] + [None] * 4  # in a random epoch, the rule chooses nothing
    assert len(set(kept)) == 5
    assert kept[0] == {5, 6, 7, 8, 9}


def test_the_window_of_seta_is_taken_from_a_random_part_of_the_data():
    sampler = SeTa(1_000, 0.3, groups=5, window=0.4, fill=False)
    observe(sampler, torch.linspace(0, 1, 1_000))
    lengths = [len(kept_at(sampler, epoch)) for epoch in range(1, 4)]
    assert all(abs(length - 0.4 * 0.7 * 1_000) < 60 for length in lengths)  # groups of equal size: two fifths of 700


# RePB ----------------------------------------------------------------------------------------------------------------


def test_means_are_those_of_batches():
    sampler = RePB(5, 0.0, r=0.5, fill=False)
    sampler.observe(torch.tensor([0, 1]), torch.tensor([1.0, 3.0]))
    sampler.observe(torch.tensor([2, 3, 4]), torch.tensor([4.0, 5.0, 9.0]))
    assert sampler.memory["count"].tolist() == [-1, 1, -1, -1, 1]  # negative: below 2, or below 6
    sampler.observe(torch.tensor([0, 1, 3]), torch.tensor([5.0, 1.0, 3.0]))
    assert sampler.memory["count"].tolist() == [2, -2, -1, 2, 1]
    sampler.observe(torch.tensor([0, 1, 2, 3]), torch.tensor([1.0, torch.nan, 3.0, torch.inf]))  # no part of a mean
    assert sampler.memory["count"].tolist() == [-3, -2, 2, 2, 1]


def test_weights_are_epochs_over_selections():
    sampler = RePB(4, 0.0, r=0.75, fill=False)
    for samples in ([0, 1, 2, 3], [0, 1, 2], [0, 1], [0]):  # sample 3 was trained on in one of four epochs
        sampler.observe(torch.tensor(samples), torch.ones(len(samples)))
    sampler.set_epoch(4)
    assert sampler.subset().tolist() == [0, 1, 2, 3]  # no loss is below the mean of its batch
    assert weights_of(sampler, torch.arange(4)) == pytest.approx([4 / 4, 4 / 3, 4 / 2, 4 / 1], abs=1e-4)
    sampler.set_epoch(40)
    assert sampler.mean_loss(torch.tensor([0]), torch.ones(1)).item() == 4  # not 40 / 4: at most 1 / (1 - r)


def test_the_share_that_is_kept_is_that_of_the_source():
    """A sample below the mean is left out of the next epoch with probability r, and one that was left out returns with
    probability 1 - r: in every epoch, a share of 1 - r of them is kept."""
    number, r, is_below = 4_000, 0.7, torch.arange(4_000) % 4 > 0
    sampler, lengths = RePB(number, 0.0, r=r, fill=False), []
    for epoch in range(6):
        kept = list(kept_at(sampler, epoch))
        sampler.observe(torch.tensor(kept), torch.where(is_below, 0.0, 1.0)[kept])
        lengths.append(len(kept))
    assert lengths == pytest.approx([number] + [number * (0.25 + 0.75 * (1 - r))] * 5, abs=5 * (number * 0.25) ** 0.5)
