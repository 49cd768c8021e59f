"""Mistakes of a training loop, of which a sampler tells once, and correct loops, which it leaves alone."""

import warnings

import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, DistributedSampler, TensorDataset

from dynprune_lib import RS2, indexed

BATCH = 8
pytestmark = pytest.mark.filterwarnings("error")  # what is told is told where it is expected


@pytest.fixture
def sampler(make_one):
    return make_one(80)


def train(sampler, batches=None):
    for index in sampler.indices().split(BATCH)[:batches]:
        sampler.update(index, torch.rand(len(index)))


def told(sampler, loader, sets_epoch=True):
    """Return what is told in a loop."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch in range(3):
            if sets_epoch:
                sampler.set_epoch(epoch)
            for index, _ in loader:
                sampler.update(index, torch.rand(len(index)))
    return [str(each.message) for each in caught]


def test_epochs_in_which_nothing_is_trained_on_are_told_once_of_a_sampler_that_needs_scores(make_one):
    for size, made, expected in ((39, make_one(80), 0), (41, make_one(80), 1), (41, RS2(80, 0.5), 0)):
        loader = DataLoader(indexed(TensorDataset(torch.zeros(80))), size, sampler=made, drop_last=True)
        messages = told(made, loader)
        assert len(messages) == expected
        assert all("with drop_last=True, an epoch smaller than a batch has no batch" in each for each in messages)


def test_a_loop_that_is_wrong_in_every_epoch_causes_one_warning(make_one):
    sampler, other, third = (make_one(80) for _ in range(3))
    dataset = indexed(TensorDataset(torch.zeros(80)))
    around = DistributedSampler(other, num_replicas=1, rank=0)  # its indices are positions in the subset
    inside = ConcatDataset([indexed(TensorDataset(torch.zeros(40)))] * 2)
    messages = told(sampler, DataLoader(dataset, BATCH, sampler=sampler), sets_epoch=False)
    messages += told(other, DataLoader(dataset, BATCH, sampler=around))
    messages += told(third, DataLoader(inside, BATCH, sampler=third))
    for message, expected in zip(
        messages,
        (
            "set_epoch() was not called",
            "(a DistributedSampler around it selects others)",
            "wrap the outermost data set in indexed(), not one inside a ConcatDataset",
        ),
        strict=True,
    ):
        assert expected in message


def test_an_epoch_that_goes_back_is_told_once():
    sampler = RS2(40, 0.5)
    sampler.set_epoch(3)
    with pytest.warns(UserWarning, match=r"the epoch goes back from 3 to 0: .* pass it sampler=sampler\.view\(\)"):
        sampler.set_epoch(0)
    sampler.set_epoch(3)
    sampler.set_epoch(2)


def test_an_epoch_of_which_a_part_was_trained_on_is_told(sampler):
    sampler.set_epoch(0)
    train(sampler, 3)
    sampler.set_epoch(1)  # 60 %, as with drop_last and large batches
    train(sampler, 2)
    with pytest.warns(UserWarning, match="epoch 1: trained on 16 of 40 selected samples. .* does the loader limit"):
        sampler.set_epoch(2)


def test_one_mistake_does_not_hide_another(sampler):
    train(sampler)
    with pytest.warns(UserWarning, match="more samples of epoch 0"):
        sampler.update(torch.arange(8), torch.rand(8))
    sampler.set_epoch(1)  # before the first set_epoch, no epoch has gone wrong
    train(sampler, 1)
    with pytest.warns(UserWarning, match="epoch 1: trained on 8 of 40"):
        sampler.set_epoch(2)
    train(sampler, 4)
    left_out = sorted(set(range(80)) - set(sampler.subset().tolist()))
    sampler.update(torch.tensor(left_out[:3]), torch.ones(3))
    with pytest.warns(UserWarning, match="epoch 2: trained on 3 samples that the sampler has not selected"):
        sampler.set_epoch(3)


def test_a_resumed_epoch_is_not_taken_for_a_part(sampler, make_one):
    resumed = make_one(80)
    resumed.load_state_dict(sampler.state_dict())
    resumed.set_epoch(0)
    resumed.update(resumed.indices()[24:], torch.rand(16))
    resumed.set_epoch(1)


def test_reading_the_samples_before_or_after_training_is_no_second_epoch(sampler):
    list(sampler)  # as a loader with workers does that Lightning makes when it resumes
    for epoch in range(3):
        sampler.set_epoch(epoch)
        train(sampler)
        assert len(list(sampler)) == 40  # for the accuracy on what was trained on
    with pytest.warns(UserWarning, match=r"more samples of epoch 2 .* than it has: either set_epoch\(\) was not"):
        train(sampler, 1)


def test_a_small_epoch_without_its_last_batch_is_whole(make_one):
    sampler = make_one(30)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        train(sampler, 1)  # 8 of 15 samples, with drop_last
