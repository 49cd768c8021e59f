"""`report`: the passes made and left out, the samples never selected, and the overlap of what was left out."""

import copy

import pytest
import torch

from dynprune_lib import UCB, DynamicRandom, Full, ProgressiveDropout
from tests.samplers.conftest import assert_same


def test_a_report_has_what_was_saved_and_changes_nothing(make_one, run_epoch):
    sampler, without = (make_one(warm_up=1, anneal_from=4) for _ in range(2))
    subsets = []
    for epoch in range(5):
        sampler.report()
        assert run_epoch(sampler, epoch) == run_epoch(without, epoch)
        subsets.append(set(sampler.subset().tolist()))
        assert sampler.report() == without.report()
        assert_same(sampler.state_dict(), without.state_dict())
    report, left_out = sampler.report(), [set(range(40)) - subset for subset in subsets]
    assert (report.passes_made, report.passes_left_out, report.share_left_out) == (140, 60, 0.3)
    assert report.never_selected == 0
    assert report.overlap == len(left_out[3] & left_out[2]) / 20  # of the pruned epochs


def test_a_report_is_a_sentence(run_epoch):
    sampler, full = UCB(40, 0.5), Full(3)
    run_epoch(full, 0)
    assert str(sampler.report()) == "0 sample passes made, 0 left out (0.0%); 100.0% of the samples never selected"
    assert str(full.report()) == "3 sample passes made, 0 left out (0.0%); 0.0% of the samples never selected"
    sampler = DynamicRandom(40, 0.5, period=2)
    run_epoch(sampler, 0)
    run_epoch(sampler, 1)
    assert (sampler.report().overlap, sampler.report().never_selected) == (1, 0.5)
    assert "; 100.0% of the samples last left out were left out of the epoch before" in str(sampler.report())


def test_a_part_of_an_epoch_counts_in_proportion():
    sampler = DynamicRandom(40, 0.75)
    sampler.update(sampler.indices()[:5], torch.rand(5))
    report = sampler.report()
    assert (report.passes_made, report.passes_left_out, report.share_left_out) == (5, 15, 0.75)
    sampler.mean_loss(sampler.indices()[5:], torch.rand(5))
    assert (sampler.report().passes_made, sampler.report().passes_left_out) == (10, 30)


def test_epochs_of_their_own_length():
    sampler = ProgressiveDropout(40, 0.0, fill=False)
    sampler.update(sampler.indices(), torch.arange(40.0))
    sampler.set_epoch(1)
    kept = len(sampler)
    sampler.update(sampler.indices(), torch.ones(kept))
    assert 0 < kept < 40
    assert (sampler.report().passes_made, sampler.report().passes_left_out) == (40 + kept, 40 - kept)


@pytest.mark.parametrize("stop", [4, 7])  # samples into the last epoch
def test_a_resumed_run_goes_on_counting(make_one, stop):
    def train(sampler, epoch, which=slice(None)):
        sampler.set_epoch(epoch)
        for index in sampler.indices()[which].split(1):
            sampler.update(index, torch.sin(index + epoch + 1.0))

    whole, first, second = make_one(), make_one(), make_one()
    for epoch in range(3):
        train(whole, epoch)
        train(first, epoch, slice(stop if epoch == 2 else None))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.report() == first.report()
    train(second, 2, slice(stop, None))  # a loop that resumes skips the batches that were trained on
    assert second.report() == whole.report()
