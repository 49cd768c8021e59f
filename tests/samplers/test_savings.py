"""`report`: the passes made and left out, the samples never selected, and the overlap of what was left out."""

import copy

import pytest
import torch

from dynprune_lib import RS2, UCB, DynamicRandom, Full, ProgressiveDropout, StaticRandom
from tests.samplers.conftest import assert_same


def test_a_report_has_what_was_saved(make_one, run_epoch):
    sampler, subsets = make_one(), []
    for epoch in range(4):
        run_epoch(sampler, epoch)
        subsets.append(set(sampler.subset().tolist()))
    report, everything = sampler.report(), set(range(40))
    assert report.passes_made == sum(map(len, subsets))
    assert report.passes_left_out == 160 - report.passes_made
    assert report.share_left_out == 0.5
    assert report.never_selected == len(everything - set.union(*subsets)) / 40
    left_out = [everything - subset for subset in subsets]
    assert report.overlap == len(left_out[3] & left_out[2]) / 20


def test_a_report_changes_nothing(make_one, run_epoch):
    with_reports, without = make_one(), make_one()
    for epoch in range(4):
        with_reports.report()
        assert run_epoch(with_reports, epoch) == run_epoch(without, epoch)
        with_reports.report()
        assert with_reports.report() == without.report()
        assert_same(with_reports.state_dict(), without.state_dict())


def test_a_report_is_a_sentence():
    sampler, full = UCB(40, 0.5), Full(3)
    list(sampler)
    full.update(full.indices(), torch.rand(3))
    assert str(sampler.report()) == "0 sample passes made, 0 left out (0.0%); 100.0% of the samples never selected"
    assert str(full.report()) == "3 sample passes made, 0 left out (0.0%); 0.0% of the samples never selected"


def test_a_part_of_an_epoch_counts_in_proportion():
    sampler = DynamicRandom(40, 0.75)
    sampler.update(sampler.indices()[:5], torch.rand(5))
    report = sampler.report()
    assert (report.passes_made, report.passes_left_out, report.share_left_out) == (5, 15, 0.75)
    sampler.mean_loss(sampler.indices()[5:], torch.rand(5))
    assert (sampler.report().passes_made, sampler.report().passes_left_out) == (10, 30)


def test_warm_up_and_annealing_leave_nothing_out(run_epoch):
    sampler = RS2(40, 0.5, warm_up=1, anneal_from=3)
    for epoch in range(4):
        run_epoch(sampler, epoch)
    report = sampler.report()
    assert (report.passes_made, report.passes_left_out) == (40 + 20 + 20 + 40, 40)
    assert report.never_selected == 0
    assert report.overlap == 0  # of the pruned epochs 1 and 2, which are one pass


def test_the_overlap_of_one_period_is_whole(run_epoch):
    for sampler in (StaticRandom(40, 0.5), DynamicRandom(40, 0.5, period=2)):
        run_epoch(sampler, 0)
        run_epoch(sampler, 1)
        assert sampler.report().overlap == 1
    assert sampler.report().never_selected == 0.5


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
