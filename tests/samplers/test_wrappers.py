"""Samplers under the loaders of other libraries: resumed where they were, and told of what goes wrong."""

import inspect
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from dynprune_lib import RS2, UCB, indexed

BATCH = 8


def test_no_attribute_shadows_one_that_libraries_read():
    sampler = UCB(40, 0.5)
    # what the samplers of PyTorch, accelerate and torchdata have under these names, or nothing
    assert not hasattr(sampler, "generator")
    for name in ("batch_size", "sampler", "replacement", "shuffle", "rank", "num_replicas", "drop_last", "data_source"):
        assert not hasattr(sampler, name)
    assert all(type(getattr(sampler, name)) is int for name in ("seed", "epoch", "num_samples"))
    assert inspect.signature(sampler.set_epoch).parameters.keys() == {"epoch"}
    assert set(dir(RandomSampler)) - set(dir(sampler)) <= {"num_samples"}


def test_a_sampler_and_its_view_are_distributed_samplers_which_lightning_leaves_alone():
    sampler = UCB(40, 0.5)
    for each in (sampler, sampler.view()):
        assert isinstance(each, DistributedSampler)


def test_a_view_has_the_samples_and_neither_state_nor_epochs():
    sampler = UCB(40, 0.5, warm_up=1)
    view = sampler.view()
    loader = DataLoader(range(40), BATCH, sampler=view)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        assert torch.cat(list(loader)).tolist() == list(sampler) == list(view)
        assert len(view) == len(sampler) == (20 if epoch else 40)
        assert len(loader) == (3 if epoch else 5)
    view.set_epoch(7)
    assert sampler.epoch == 1
    assert not hasattr(view, "state_dict")


def test_an_epoch_that_goes_back_is_told_once():
    sampler = RS2(40, 0.5)
    sampler.set_epoch(3)
    with pytest.warns(UserWarning, match=r"the epoch goes back from 3 to 0: .* pass it sampler=sampler\.view\(\)"):
        sampler.set_epoch(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.set_epoch(3)
        sampler.set_epoch(2)


def train(sampler, batches):
    for index in sampler.indices().split(BATCH)[:batches]:
        sampler.update(index, torch.rand(len(index)))


def silent_epochs(sampler, batches):
    """Train some epochs, yield after each of them, and fail if anything is told."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epoch in range(3):
            sampler.set_epoch(epoch)
            train(sampler, batches)
            yield epoch


def test_an_epoch_of_which_a_part_was_trained_on_is_told():
    sampler = UCB(80, 0.5)
    sampler.set_epoch(0)
    train(sampler, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.set_epoch(1)  # 60 %, as with drop_last and large batches
    train(sampler, 2)
    with pytest.warns(UserWarning, match="only 16 of the 40 samples of epoch 1 were trained on: .* the loader limits"):
        sampler.set_epoch(2)


def test_samples_that_were_not_selected_are_told():
    sampler = UCB(80, 0.5)
    sampler.set_epoch(0)
    train(sampler, 4)
    left_out = sorted(set(range(80)) - set(sampler.subset().tolist()))
    sampler.update(torch.tensor(left_out[:3]), torch.ones(3))
    with pytest.warns(UserWarning, match="3 samples were trained on in epoch 0 that the sampler has not selected"):
        sampler.set_epoch(1)


def test_before_the_first_set_epoch_no_epoch_has_gone_wrong():
    sampler = UCB(80, 0.5)
    sampler.update(torch.arange(80), torch.rand(80))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.set_epoch(1)


def test_a_resumed_epoch_is_not_taken_for_a_part():
    sampler, resumed = UCB(80, 0.5), UCB(80, 0.5)
    resumed.load_state_dict(sampler.state_dict())
    resumed.set_epoch(0)
    resumed.update(resumed.indices()[24:], torch.rand(16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed.set_epoch(1)


def test_reading_the_samples_again_is_no_second_epoch():
    sampler = UCB(80, 0.5)
    for _ in silent_epochs(sampler, 5):
        assert len(list(sampler)) == 40  # for the accuracy on what was trained on
    with pytest.warns(UserWarning, match=r"more samples of epoch 2 .* than it has, so set_epoch\(\) was not"):
        train(sampler, 1)


def test_one_mistake_does_not_hide_another():
    sampler = UCB(80, 0.5)
    sampler.set_epoch(0)
    train(sampler, 1)
    with pytest.warns(UserWarning, match="only 8 of the 40"):
        sampler.set_epoch(1)
    sampler.update(torch.arange(80), torch.rand(80))
    with pytest.warns(UserWarning, match="40 samples were trained on in epoch 1 that the sampler has not selected"):
        sampler.set_epoch(2)


def test_a_small_epoch_without_its_last_batch_is_whole():
    assert list(silent_epochs(UCB(30, 0.5), 1)) == [0, 1, 2]  # 8 of 15 samples, with drop_last


def test_scores_before_the_first_epoch_count_even_if_samples_were_asked_for():
    sampler = UCB(10, 0.5)
    assert len(sampler.subset()) == 5
    sampler.observe(torch.arange(10), torch.arange(10.0))
    sampler.set_epoch(0)
    assert sampler.subset().tolist() == [5, 6, 7, 8, 9]


def test_the_rest_of_an_epoch_needs_as_many_processes():
    sampler, resumed = UCB(80, 0.5), UCB(80, 0.5)
    state = sampler.state_dict() | {"processes": (2, True)}
    with pytest.raises(ValueError, match=r"\(processes, shard\) = \(2, True\), here they are \(1, True\)"):
        resumed.load_state_dict(state, skip_trained=True)
    resumed.load_state_dict(state)  # from the beginning of its epoch


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("done", [0, 2, 5])
def test_a_resumed_epoch_can_go_on_with_the_rest(workers, done):
    def run(sampler, epochs, stop=None):
        loader = DataLoader(indexed(TensorDataset(torch.arange(80))), BATCH, sampler=sampler, num_workers=workers)
        batches = []
        for epoch in range(sampler.epoch, epochs):
            sampler.set_epoch(epoch)
            for index, _ in loader:
                if len(batches) == stop:
                    return batches
                batches.append(index.tolist())
                sampler.update(index, torch.sin(index + 1.0 * epoch))
        return batches

    whole, first, second = UCB(80, 0.5), UCB(80, 0.5), UCB(80, 0.5)
    expected = run(whole, 3)
    begun = run(first, 3, stop=5 + done)
    second.load_state_dict(first.state_dict(), skip_trained=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert begun + run(second, 3) == expected
    assert second.report() == whole.report()
    assert torch.equal(second.memory["mean"], whole.memory["mean"])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("with_view", [True, False])
def test_torchdata_resumes_in_the_middle_of_an_epoch(workers, with_view):
    loaders = pytest.importorskip("torchdata.stateful_dataloader")

    def make():
        sampler = UCB(80, 0.5)
        options = {"batch_size": BATCH, "num_workers": workers, "sampler": sampler.view() if with_view else sampler}
        return sampler, loaders.StatefulDataLoader(indexed(TensorDataset(torch.arange(80))), **options)

    sampler, loader = make()
    sampler.set_epoch(0)
    batches = []
    for step, (index, _) in enumerate(loader):
        batches.append(index.tolist())
        sampler.update(index, index.float())
        if step == 1:
            states = sampler.state_dict(), loader.state_dict()
    resumed, loader = make()
    resumed.load_state_dict(states[0])
    loader.load_state_dict(states[1])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [index.tolist() for index, _ in loader] == batches[2:]
    is_told = not with_view and workers  # its workers were given later batches before the first were trained on
    assert [str(each.message) for each in caught if "sampler" in str(each.message)][:1] == [TOLD] * bool(is_told)
    assert resumed.memory["mean"].isfinite().sum() == 16  # the scores of the first two batches are kept
    resumed.set_epoch(1)
    assert len(list(loader)) == 5


TOLD = (
    "a loader has loaded an older state into this sampler, which was just loaded: the newer one is kept; pass"
    " sampler=sampler.view() to a loader that saves states of its own, and load another run's state into a new sampler"
)
