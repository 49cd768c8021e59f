"""Data sets and loaders whose batches know their samples, in this process and in workers, and loaders that resume."""

import copy
import inspect
import pickle
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, Subset, TensorDataset, default_collate
from torch.utils.data.distributed import DistributedSampler

from dynprune_lib import UCB, IndexedCollate, IndexedDataset, indexed, pruning_loader

BATCH = 8


class Batches(Dataset):
    """Data set that loads batches at once, and that a program configures."""

    transform = None

    def __init__(self):
        self.requests = 0

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return self.__getitems__([index])[0]

    def __getitems__(self, indices):
        self.requests += 1
        return [index if self.transform is None else self.transform(index) for index in indices]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(10))


def test_batches_are_loaded_at_once_where_the_data_set_can():
    dataset = Batches()
    batches = list(DataLoader(indexed(Subset(dataset, range(40))), batch_size=10))
    assert dataset.requests == 4
    assert all(torch.equal(index, value) for index, value in batches)
    assert indexed(["cat", "dog", "cow"]).__getitems__([2, 0]) == [(2, "cow"), (0, "cat")]


def times_100(value):
    return value * 100


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data))])
def test_attributes_are_those_of_the_data_set(duplicate):
    dataset = indexed(Batches())
    assert dataset.transform is None
    dataset.transform = times_100
    assert dataset.dataset.transform is times_100
    copied = duplicate(dataset)
    assert isinstance(copied, IndexedDataset)
    assert (len(copied), copied[3]) == (40, (3, 300))
    assert repr(duplicate(indexed([{"x": 4}], key="index"))) == "IndexedDataset([{'x': 4}], key='index')"
    with pytest.raises(AttributeError, match="classes"):
        dataset.classes  # noqa: B018


def test_data_sets_without_positions_or_of_another_length_are_refused():
    with pytest.raises(TypeError, match=r"dataset is indexed\(\) already: pass the data set itself"):
        pruning_loader(indexed(TensorDataset(torch.zeros(10))), UCB(10, 0.5))
    with pytest.raises(TypeError, match=r"dataset is a Stream, an IterableDataset: .* must have dataset\[index\]"):
        indexed(Stream())
    with pytest.raises(ValueError, match="dataset has 40 samples, but the sampler was made for 30"):
        pruning_loader(Batches(), UCB(30, 0.5))
    with pytest.raises(TypeError, match="dataset is a Stream without a length"):
        pruning_loader(Stream(), UCB(30, 0.5))


def mixup(samples):
    x, y = default_collate(samples)
    return 0.7 * x + 0.3 * x.roll(1, 0), y


@pytest.mark.parametrize("collate", [None, mixup])
def test_the_index_is_carried_around_a_collate_function(collate):
    x, y = torch.rand(40, 3), torch.arange(40)
    for index, (mixed, labels) in pruning_loader(TensorDataset(x, y), UCB(40, 0.5), collate, batch_size=10):
        assert torch.equal(labels, index)
        assert torch.equal(mixed, x[index]) == (collate is None)


def test_samples_that_are_none_are_left_out_with_their_index():
    index, batch = IndexedCollate()([(4, torch.tensor(1.0)), (2, None), (7, torch.tensor(3.0))])
    assert (index.tolist(), batch.tolist()) == ([4, 7], [1, 3])
    with pytest.raises(ValueError, match=r"all samples of a batch are None: \[4, 2\]"):
        IndexedCollate()([(4, None), (2, None)])
    index, batch = IndexedCollate(lambda samples: default_collate(samples[1:]))([(i, float(i)) for i in range(3)])
    with pytest.raises(ValueError, match="a collate function that drops samples must drop their index"):
        UCB(8, 0.5).update(index, batch)


@pytest.mark.parametrize("view", [False, True])
def test_epochs_without_a_full_batch_are_refused(view):
    sampler = UCB(40, 0.8)
    given = sampler.view() if view else sampler
    with pytest.raises(ValueError, match="with drop_last=True, an epoch of 8 samples has no batch of 9"):
        pruning_loader(Batches(), given, batch_size=9, drop_last=True)
    pruning_loader(Batches(), given, batch_size=9)
    pruning_loader(Batches(), given, batch_size=8, drop_last=True)


def test_dicts_get_the_index_under_a_key_before_or_after_collating():
    data = [{"pixels": torch.full((3,), float(each)), "label": each % 2} for each in range(40)]
    for batch in DataLoader(indexed(data, key="index"), batch_size=BATCH, sampler=UCB(40, 0.5)):
        assert batch.keys() == {"pixels", "label", "index"}
        assert torch.equal(batch["pixels"][:, 0], batch["index"].float())
    collate = IndexedCollate(lambda samples: {"x": torch.stack([sample["x"] for sample in samples])}, key="index")
    batch = collate([(4, {"x": torch.tensor(1.0), "note": None})])
    assert {name: value.tolist() for name, value in batch.items()} == {"x": [1], "index": [4]}
    with pytest.raises(ValueError, match="the samples already have a key 'label': choose another key for the index"):
        indexed(data, key="label")[0]
    with pytest.raises(TypeError, match="the samples are of type list: key='index' needs dicts, use key=None"):
        indexed([[1, 2]], key="index")[0]
    with pytest.raises(TypeError, match="the collate function returns a list: the index needs a dict"):
        IndexedCollate(list, key="index")([(0, 1)])
    with pytest.raises(ValueError, match="the batches already have a key 'x': choose another key for the index"):
        IndexedCollate(collate.collate_fn, key="x")([(4, {"x": torch.tensor(1.0)})])


# Loops with loaders ---------------------------------------------------------------------------------------------------


def test_no_attribute_shadows_one_that_libraries_read():
    sampler = UCB(40, 0.5)
    # what the samplers of PyTorch, accelerate and torchdata have under these names, or nothing
    absent = {"batch_size", "sampler", "replacement", "shuffle", "rank", "num_replicas", "drop_last", "data_source"}
    assert not (absent | {"generator"}) & set(dir(sampler))
    assert all(type(getattr(sampler, name)) is int for name in ("seed", "epoch", "num_samples"))
    assert inspect.signature(sampler.set_epoch).parameters.keys() == {"epoch"}
    assert set(dir(RandomSampler)) - set(dir(sampler)) <= {"num_samples"}


def test_a_view_has_the_samples_and_neither_state_nor_epochs():
    sampler = UCB(40, 0.5, warm_up=1)
    view = sampler.view()
    assert all(isinstance(each, DistributedSampler) for each in (sampler, view))  # which Lightning leaves alone
    loader = DataLoader(range(40), BATCH, sampler=view)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        assert torch.cat(list(loader)).tolist() == list(sampler) == list(view)
        assert len(view) == len(sampler) == (20 if epoch else 40)
        assert len(loader) == (3 if epoch else 5)
    view.set_epoch(7)
    assert sampler.epoch == 1
    assert not hasattr(view, "state_dict")


def test_the_rest_of_an_epoch_needs_as_many_processes():
    sampler, resumed = UCB(80, 0.5), UCB(80, 0.5)
    state = sampler.state_dict() | {"processes": (2, True)}
    with pytest.raises(ValueError, match=r"\(processes, shard\) = \(2, True\), here they are \(1, True\)"):
        resumed.load_state_dict(state, skip_trained=True)
    resumed.load_state_dict(state)  # from the beginning of its epoch


@pytest.mark.parametrize(
    ("with_view", "workers"), [(True, 0), *(pytest.param(each, 2, marks=pytest.mark.slow) for each in (True, False))]
)
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
    assert any("a loader has loaded an older state" in str(each.message) for each in caught) == bool(is_told)
    assert resumed.memory["mean"].isfinite().sum() == 16  # the scores of the first two batches are kept
    resumed.set_epoch(1)
    assert len(list(loader)) == 5
