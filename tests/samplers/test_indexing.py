"""`IndexedDataset`: repr, pickle and its alias. `test_adopting.py` uses it in training loops."""

import pickle

import torch
from torch.utils.data import TensorDataset

import dynprune_lib
from dynprune_lib import IndexedDataset, indexed


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
