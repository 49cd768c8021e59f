"""`IndexedDataset` and the loader that uses it. `test_adopting.py` uses them in training loops."""

import copy
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, default_collate

import dynprune_lib
from dynprune_lib import UCB, IndexedCollate, IndexedDataset, indexed, pruning_loader


def test_indexed_is_an_alias():
    assert indexed is IndexedDataset
    assert {"indexed", "IndexedDataset"} <= set(dynprune_lib.__all__)
    assert {"indexed", "IndexedDataset"} <= set(dynprune_lib.samplers.__all__)


def test_repr_names_the_data_set_and_the_key():
    assert repr(indexed([4, 5])) == "IndexedDataset([4, 5], key=None)"
    assert repr(indexed([{"x": 4}], key="index")) == "IndexedDataset([{'x': 4}], key='index')"


def test_pickle_keeps_the_data_set_and_the_key():
    dataset = pickle.loads(pickle.dumps(indexed(TensorDataset(torch.arange(10, 13)))))
    assert isinstance(dataset, IndexedDataset)
    assert len(dataset) == 3
    assert dataset[2] == (2, (torch.tensor(12),))
    assert pickle.loads(pickle.dumps(indexed([{"x": 4}], key="index")))[0] == {"x": 4, "index": 0}


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


@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: Subset(data, range(40))])
def test_batches_are_loaded_at_once(wrap):
    dataset = Batches()
    batches = list(DataLoader(indexed(wrap(dataset)), batch_size=10))
    assert dataset.requests == 4
    assert all(torch.equal(index, value) for index, value in batches)


def test_data_sets_without_batches_are_asked_for_each_sample():
    assert indexed(["cat", "dog", "cow"]).__getitems__([2, 0]) == [(2, "cow"), (0, "cat")]


def times_100(value):
    return value * 100


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data))])
def test_attributes_are_those_of_the_data_set(duplicate):
    dataset = indexed(Batches())
    assert dataset.transform is None
    dataset.transform = times_100
    assert dataset.dataset.transform is times_100
    assert duplicate(dataset)[3] == (3, 300)
    assert not hasattr(dataset, "classes")
    with pytest.raises(AttributeError, match="classes"):
        dataset.classes  # noqa: B018


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_attributes_reach_the_workers(method):
    dataset = indexed(Batches())
    dataset.transform = times_100
    (index, value), *_ = DataLoader(dataset, batch_size=40, num_workers=1, multiprocessing_context=method)
    assert torch.equal(value, index * 100)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(10))


def test_data_sets_without_positions_are_refused():
    with pytest.raises(TypeError, match=r"dataset is a Stream, an IterableDataset: .* must have dataset\[index\]"):
        indexed(Stream())


def test_a_key_needs_dicts():
    with pytest.raises(TypeError, match="the samples are of type list: key='index' needs dicts, use key=None"):
        indexed([[1, 2]], key="index")[0]


def mixup(samples):
    x, y = default_collate(samples)
    return 0.7 * x + 0.3 * x.roll(1, 0), y


@pytest.mark.parametrize("collate", [None, mixup])
def test_the_index_is_carried_around_a_collate_function(collate):
    x, y = torch.rand(40, 3, 8, 8), torch.arange(40)
    sampler = UCB(40, 0.5)
    for index, (mixed, labels) in pruning_loader(TensorDataset(x, y), sampler, collate, batch_size=10):
        assert torch.equal(labels, index)
        assert torch.equal(mixed, x[index]) == (collate is None)
        assert sampler.update(index, torch.rand(10)) > 0


def test_an_index_is_added_to_a_dict_after_collating():
    collate = IndexedCollate(lambda samples: {"x": torch.stack([sample["x"] for sample in samples])}, key="index")
    batch = collate([(4, {"x": torch.tensor(1.0), "note": None})])
    assert batch.keys() == {"x", "index"}
    assert batch["index"].tolist() == [4]
    with pytest.raises(TypeError, match="the collate function returns a list: the index needs a dict"):
        IndexedCollate(list, key="index")([(0, 1)])
    with pytest.raises(ValueError, match="the batches already have a key 'x': choose another key for the index"):
        IndexedCollate(collate.collate_fn, key="x")([(4, {"x": torch.tensor(1.0)})])


def test_a_loader_for_another_data_set_is_refused():
    with pytest.raises(ValueError, match="dataset has 40 samples, but the sampler was made for 30"):
        pruning_loader(Batches(), UCB(30, 0.5))
    with pytest.raises(TypeError, match="dataset is a Stream without a length"):
        pruning_loader(Stream(), UCB(30, 0.5))
