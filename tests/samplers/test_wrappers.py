"""Samplers under the loaders of other libraries: sharded once, resumed where they were, told of what goes wrong."""

import inspect
import itertools
import subprocess
import sys
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from dynprune_lib import RS2, UCB, distributed, indexed
from dynprune_lib.samplers import wrappers

BATCH = 8


def loader_of(sampler, **options):
    dataset = indexed(TensorDataset(torch.arange(sampler.num_samples)))
    return DataLoader(dataset, batch_size=BATCH, sampler=sampler, **options)


def test_no_attribute_shadows_one_that_libraries_read():
    sampler = UCB(40, 0.5)
    # what the samplers of PyTorch, accelerate and torchdata have under these names, or nothing
    assert not hasattr(sampler, "generator")
    for name in ("batch_size", "sampler", "replacement", "shuffle", "rank", "num_replicas", "drop_last", "data_source"):
        assert not hasattr(sampler, name)
    assert all(type(getattr(sampler, name)) is int for name in ("seed", "epoch", "num_samples"))
    assert inspect.signature(sampler.set_epoch).parameters.keys() == {"epoch"}
    assert set(dir(RandomSampler)) - set(dir(sampler)) <= {"num_samples"}


@pytest.fixture
def two_processes(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 1)


@pytest.mark.usefixtures("two_processes")
def test_a_distributed_sampler_around_a_sampler_is_refused():
    sampler = UCB(40, 0.5)

    class Wrapper(DistributedSampler):
        def __iter__(self):
            return iter(self.dataset)

    around = Wrapper(list(range(20)), num_replicas=2, rank=1)
    around.dataset = sampler
    with pytest.raises(ValueError, match=r"a Wrapper is around this sampler.*Trainer\(use_distributed_sampler=False\)"):
        list(around)


@pytest.mark.usefixtures("two_processes")
def test_loaders_prepared_by_accelerate_pass_a_shard_on():
    data_loader = pytest.importorskip("accelerate.data_loader")
    sampler = UCB(80, 0.5)
    shard = data_loader.BatchSamplerShard(loader_of(sampler, drop_last=True).batch_sampler, 2, 1)
    assert len(shard) == 2  # before it was iterated, too
    assert sorted(itertools.chain.from_iterable(shard)) == sorted(sampler.indices()[:16].tolist())


@pytest.mark.usefixtures("two_processes")
def test_loaders_that_split_batches_are_refused():
    data_loader = pytest.importorskip("accelerate.data_loader")
    shard = data_loader.BatchSamplerShard(loader_of(UCB(80, 0.5)).batch_sampler, 2, 1, split_batches=True)
    with pytest.raises(ValueError, match=r"prepared with split_batches=True .* use split_batches=False"):
        next(iter(shard))


@pytest.mark.usefixtures("two_processes")
def test_loaders_that_dispatch_batches_are_refused():
    class DataLoaderDispatcher:
        def __iter__(self):
            return iter(sampler)

    sampler = UCB(80, 0.5)
    with pytest.raises(ValueError, match="prepared with dispatch_batches=True"):
        iter(DataLoaderDispatcher())


def test_an_epoch_that_goes_back_is_told_once():
    sampler = RS2(40, 0.5)
    sampler.set_epoch(3)
    with pytest.warns(UserWarning, match=r"the epoch goes back from 3 to 0: .* loader.set_epoch\(epoch\)"):
        sampler.set_epoch(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.set_epoch(3)
        sampler.set_epoch(2)


def test_an_epoch_of_which_a_part_was_trained_on_is_told():
    def train(sampler, batches):
        for index in sampler.indices().split(BATCH)[:batches]:
            sampler.update(index, torch.rand(len(index)))

    sampler = UCB(80, 0.5)
    train(sampler, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.set_epoch(1)  # 60 %, as with drop_last and large batches
    train(sampler, 2)
    with pytest.warns(UserWarning, match="only 16 of the 40 samples of epoch 1 were trained on: .* loader shards"):
        sampler.set_epoch(2)


def test_a_resumed_epoch_is_not_taken_for_a_part():
    sampler, resumed = UCB(80, 0.5), UCB(80, 0.5)
    resumed.load_state_dict(sampler.state_dict())
    resumed.set_epoch(0)
    resumed.update(resumed.indices()[24:], torch.rand(16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed.set_epoch(1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_torchdata_resumes_in_the_middle_of_an_epoch(workers):
    loaders = pytest.importorskip("torchdata.stateful_dataloader")

    def make():
        sampler = UCB(80, 0.5)
        dataset = indexed(TensorDataset(torch.arange(80)))
        options = {"batch_size": BATCH, "sampler": sampler, "num_workers": workers}
        return sampler, loaders.StatefulDataLoader(dataset, **options)

    sampler, loader = make()
    batches = []
    for step, (index, _) in enumerate(loader):
        batches.append(index.tolist())
        sampler.update(index, index.float())
        if step == 1:
            states = sampler.state_dict(), loader.state_dict()
    resumed, loader = make()
    resumed.load_state_dict(states[0])
    loader.load_state_dict(states[1])
    assert [index.tolist() for index, _ in loader] == batches[2:]
    assert resumed.mean.isfinite().sum() == 16  # the scores of the first two batches are kept
    resumed.set_epoch(1)
    assert len(list(loader)) == 5


def test_callers_are_found_without_importing_their_libraries():
    code = "import dynprune_lib.samplers, sys; assert not {'accelerate', 'torchdata', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not wrappers.asked_by_torchdata()
