"""Warm-up, annealing and periods, and the number of steps, which is known before a run and at any moment of it."""

import pytest
import torch
from torch.utils.data import DataLoader

from dynprune_lib import DynamicRandom, InfoBatch

BATCH = 8


def test_all_the_data_in_warm_up_and_annealing(make_one, run_epoch):
    sampler, fresh = make_one(warm_up=2, anneal_from=5), make_one(warm_up=2, anneal_from=5)
    lengths = [len(run_epoch(sampler, epoch)) for epoch in range(8)]
    assert lengths == [40, 40, 20, 20, 20, 40, 40, 40]
    for each in (sampler, fresh):  # also for past epochs
        assert lengths == [each.samples_in(epoch) for epoch in range(8)]


def test_the_first_period_begins_after_the_warm_up(make_one, run_epoch):
    sampler, subsets = make_one(100, warm_up=3, period=2), []
    for epoch in range(7):
        assert sampler.selects_at(epoch) == (epoch in (3, 5))
        run_epoch(sampler, epoch)
        subsets.append(sampler.subset().tolist())
    assert subsets[0] == subsets[1] == subsets[2] == list(range(100))
    assert subsets[3] == subsets[4] != subsets[5] == subsets[6]


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("options", [{"warm_up": 1, "anneal_from": 3}, {"rescale": True}])
def test_steps_are_known_before_the_run_and_at_any_moment(options, drop_last):
    sampler, resumed = DynamicRandom(45, 0.3, **options), DynamicRandom(45, 0.3, **options)
    loader = DataLoader(range(45), BATCH, sampler=sampler, drop_last=drop_last)
    total, made = sampler.total_steps(4, BATCH, drop_last), 0
    for epoch in range(4):
        sampler.set_epoch(epoch)
        assert len(loader) == sampler.samples_in(epoch) // BATCH + (not drop_last)
        for index in loader:
            sampler.update(index, torch.rand(len(index)))
            sampler.observe(index, torch.rand(len(index)))  # does not train
            made += 1
            resumed.load_state_dict(sampler.state_dict())
            for each in (sampler, resumed):
                assert each.steps_left(4, BATCH, drop_last) == total - made
    assert made == total
    assert sampler.steps_left(2, BATCH, drop_last) == 0


@pytest.mark.parametrize(("settings", "full"), [({}, 5.0), ({"warm_up": 2, "anneal_from": 9}, 6.5)])
def test_full_data_makes_the_same_passes_in_so_many_epochs(make_one, run_epoch, settings, full):
    sampler = make_one(**settings)
    assert sampler.equal_compute_epochs(10) == full
    for epoch in range(10):
        run_epoch(sampler, epoch)
    assert sampler.report().passes_made == full * sampler.num_samples
    assert InfoBatch(40, 0.0, fill=False).equal_compute_epochs(10) == 10.0  # an upper bound


def test_partial_batches_count_as_one_step(make_one):
    sampler = make_one(45, 0.0)
    sampler.update(torch.arange(4), torch.rand(4))
    assert sampler.steps_left(1, BATCH) == 5
    sampler.update(torch.arange(4, 8), torch.rand(4))
    assert sampler.steps_left(1, BATCH) == 4
