"""Rules with epochs of their own length: what holds for every one of them, and InfoBatch and SeTa by hand."""

import copy

import pytest
import torch

from dynprune_lib import InfoBatch, InstanceEarlyStopping, ProgressiveDropout, SeTa
from dynprune_lib.samplers import SAMPLERS, OwnLength
from tests.samplers.conftest import assert_same, losses_of

RULES = sorted(name for name, sampler in SAMPLERS.items() if issubclass(sampler, OwnLength))


@pytest.fixture(params=RULES)
def make(request):
    def make(num_samples=40, prune_rate=0.0, **settings):
        return SAMPLERS[request.param](num_samples, prune_rate, **{"fill": False} | settings)

    return make


def test_the_rules_of_the_package():
    assert RULES == ["early-stopping", "infobatch", "progressive-dropout", "repb", "seta"]


def test_the_length_of_an_epoch_is_known_before_it_begins(make, run_epoch):
    sampler, lengths = make(warm_up=1, anneal_from=8), []
    for epoch in range(10):
        sampler.set_epoch(epoch)
        lengths.append(len(sampler))
        assert sampler.samples_in(epoch) == lengths[-1]
        order = run_epoch(sampler, epoch)
        assert len(order) == len(set(order)) == lengths[-1] <= sampler.greatest_length(epoch)
    assert lengths[:1] + lengths[8:] == [40, 40, 40]


def test_the_total_number_of_steps_is_an_upper_bound(make, run_epoch):
    sampler = make()
    bound, steps = sampler.total_steps(8, batch_size=4), 0
    for epoch in range(8):
        steps += len(run_epoch(sampler, epoch, batch_size=4)) // 4
        assert sampler.steps_left(8, batch_size=4) <= bound - steps
    assert steps <= bound == 80


def test_a_state_of_an_epoch_of_any_length_resumes(make, run_epoch):
    sampler = make()
    for epoch in range(4):
        run_epoch(sampler, epoch)
    other = make()
    other.load_state_dict(copy.deepcopy(sampler.state_dict()))
    assert_same(other.state_dict(), sampler.state_dict())
    for epoch in range(4, 7):
        assert run_epoch(other, epoch) == run_epoch(sampler, epoch)


def test_a_state_with_too_many_samples_is_refused(make):
    state, sampler = make().state_dict(), make(prune_rate=0.5)
    state["settings"] = sampler.settings()
    with pytest.raises(ValueError, match="subset of this state"):
        sampler.load_state_dict(state)


def test_a_rule_that_keeps_nothing_has_an_epoch_of_one_sample():
    sampler = ProgressiveDropout(6, 0.0, fill=False)
    sampler.observe(torch.arange(6), torch.zeros(6))
    sampler.set_epoch(1)
    assert (len(sampler), sampler.wanted) == (1, 0.0)


def test_the_greatest_length_is_that_of_the_prune_rate():
    sampler = ProgressiveDropout(6, 0.5, fill=False)
    sampler.observe(torch.arange(6), torch.tensor([9.0] * 5 + [0.0]))
    sampler.set_epoch(1)
    assert (len(sampler), sampler.wanted) == (3, 5 / 6)
    assert 5 not in sampler.subset()


def test_what_a_rule_wants_is_told_when_its_epochs_are_filled_too():
    sampler = InstanceEarlyStopping(4, 0.5, threshold=0.25)
    assert sampler.wanted is None
    for losses in ([4.0, 1.0, 2.0, 0.0], [3.0, 1.0, 1.0, 0.5], [2.0, 1.0, 0.5, 0.45]):
        sampler.observe(torch.arange(4), torch.tensor(losses))
    sampler.set_epoch(1)
    assert (len(sampler), sampler.wanted) == (2, 0.5)


def test_a_rule_chooses_nothing_in_random_epochs():
    sampler = SeTa(6, 0.5, groups=3, window=0.4, random_from=2)
    sampler.observe(torch.arange(6), torch.tensor([0.1, 0.1, 0.5, 0.5, 0.9, 0.9]))
    chosen = []
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        chosen.append(sampler.wanted)
    assert chosen == [2 / 6, None]


def test_infobatch_has_the_epochs_and_the_weights_of_its_paper():
    losses = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])  # six are below the mean
    sampler = InfoBatch(10, 0.0, r=0.5, fill=False)
    sampler.observe(torch.arange(10), losses)
    sampler.set_epoch(1)
    kept = sampler.subset()
    assert {6, 7, 8, 9} <= set(kept.tolist())
    assert (len(kept), sampler.wanted) == (7, 0.7)
    assert [sampler.mean_loss(sample, torch.ones(1)).item() for sample in kept.split(1)] == [2.0] * 3 + [1.0] * 4


def test_the_window_of_seta_is_taken_from_a_random_part_of_the_data():
    sampler = SeTa(1_000, 0.3, groups=5, window=0.4, fill=False)
    sampler.observe(torch.arange(1_000), torch.linspace(0, 1, 1_000))
    lengths = []
    for epoch in range(1, 5):
        sampler.set_epoch(epoch)
        lengths.append(len(sampler))
    assert all(abs(length - 0.4 * 0.7 * 1_000) < 60 for length in lengths)  # groups of equal size: two fifths of 700


def test_losses_of_an_epoch_change_its_length():
    sampler = ProgressiveDropout(40, 0.0, fill=False)
    lengths = set()
    for epoch in range(5):
        sampler.set_epoch(epoch)
        lengths.add(len(list(sampler)))
        sampler.observe(torch.arange(40), losses_of(torch.arange(40), epoch))
    assert len(lengths) > 1
