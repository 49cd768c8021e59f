"""Loading batches that know their samples: the index of every sample, the order of an epoch, and a loader of both."""

from collections.abc import Callable, Iterator, MutableMapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate
from torch.utils.data.distributed import DistributedSampler

from dynprune_lib.samplers.merge import world_size

if TYPE_CHECKING:
    from dynprune_lib.samplers.sampler import PruningSampler

CHUNK = 65_536  # indices converted to Python integers at a time; a list of all would need 36 bytes per sample


class Order(Iterator[int]):
    """Iterator over the samples of an epoch, whose state is the number of samples that it has returned.

    Loaders that resume in the middle of an epoch, such as that of torchdata, save and load this state.
    """

    def __init__(self, indices: Tensor) -> None:
        self._indices = indices
        self.load_state_dict({"returned": 0})

    def __next__(self) -> int:
        index = next(self._rest)
        self._returned += 1
        return index

    def state_dict(self) -> dict[str, Any]:
        return {"returned": self._returned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._returned: int = state["returned"]
        chunks = self._indices[self._returned :].split(CHUNK)
        self._rest: Iterator[int] = chain.from_iterable(chunk.tolist() for chunk in chunks)


class View(DistributedSampler[int]):
    """The samples of a sampler without its state and its epochs; see `PruningSampler.view`."""

    def __init__(self, sampler: "PruningSampler") -> None:
        self.sampler, self.num_samples = sampler, sampler.num_samples

    def __iter__(self) -> Iterator[int]:
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the training loop calls the `set_epoch` of the sampler."""


class IndexedDataset(Dataset):
    """Data set that adds the index of every sample: `(index, dataset[index])`.

    `indexed` is an alias that reads well in a training loop: `DataLoader(indexed(train_set), ...)`. Wrap the outermost
    data set: the index is a position in the wrapped data set. Other attributes are read from the wrapped data set and
    set on it.

    Args:
        dataset: a map-style data set, also a `Subset` or a `ConcatDataset`.
        key: for samples that are dicts, the key under which the index is added to them. Default: None, which makes
            every sample a pair.

    Raises:
        TypeError: if the data set is an `IterableDataset`.

    Example:
        >>> indexed(["cat", "dog"])[1]
        (1, 'dog')
        >>> indexed([{"label": 0}, {"label": 7}], key="index")[1]
        {'label': 7, 'index': 1}
    """

    def __init__(self, dataset: Dataset, key: str | None = None) -> None:
        if isinstance(dataset, IterableDataset):
            raise TypeError(
                f"dataset is a {type(dataset).__name__}, an IterableDataset: a sampler picks samples by their position,"
                " so the data set must have dataset[index] and len(dataset)"
            )
        self.dataset, self.key = dataset, key

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # torch's Dataset does not declare its length

    def __getitem__(self, index: int) -> Any:
        return self._with_index(index, self.dataset[index])

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return a batch of samples, which the data set loads at once if it can."""
        fetch = getattr(self.dataset, "__getitems__", None)
        samples = fetch(indices) if fetch else [self.dataset[index] for index in indices]
        return [self._with_index(index, sample) for index, sample in zip(indices, samples, strict=True)]

    def __getattr__(self, name: str) -> Any:
        """Read an attribute of the wrapped data set."""
        if name.startswith("__") or name in ("dataset", "key"):  # asked for by copy and pickle before they are set
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the wrapped data set, for example its `transform`."""
        owner = self if name.startswith("__") or name in ("dataset", "key") else self.dataset
        object.__setattr__(self, name, value) if owner is self else setattr(owner, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dataset!r}, key={self.key!r})"

    def _with_index(self, index: int, sample: Any) -> Any:
        if self.key is None:
            return index, sample
        if not isinstance(sample, dict):
            raise TypeError(
                f"the samples are of type {type(sample).__name__}: key={self.key!r} needs dicts, use key=None"
            )
        if self.key in sample:
            raise ValueError(f"the samples already have a key {self.key!r}: choose another key for the index")
        return {**sample, self.key: index}


indexed = IndexedDataset


class IndexedCollate:
    """Collate function for `indexed` samples that carries the index around any other collate function.

    Use it if `collate_fn` expects the plain samples, for example to mix a batch or to pad it. Samples that are None,
    such as files that cannot be read, are left out with their index.

    Args:
        collate_fn: collate function of the samples without their index. Default: None, for that of PyTorch.
        key: for batches that are dicts, the key under which the index is added. Default: None, which makes every batch
            a pair of the index and the batch.

    Example:
        >>> IndexedCollate(max)([(0, 1.5), (1, 0.5)])
        (tensor([0, 1]), 1.5)
    """

    def __init__(self, collate_fn: Callable[[list[Any]], Any] | None = None, key: str | None = None) -> None:
        self.collate_fn, self.key = collate_fn or default_collate, key

    def __call__(self, samples: list[tuple[int, Any]]) -> Any:
        whole = [each for each in samples if each[1] is not None]
        if not whole:
            raise ValueError(
                f"all samples of a batch are None: {[position for position, _ in samples]}; leave them out"
            )
        samples = whole
        index = torch.tensor([position for position, _ in samples], dtype=torch.int64, device="cpu")
        batch = self.collate_fn([sample for _, sample in samples])
        if self.key is None:
            return index, batch
        if not isinstance(batch, MutableMapping):
            raise TypeError(
                f"the collate function returns a {type(batch).__name__}: the index needs a dict to be added to"
            )
        if self.key in batch:
            raise ValueError(f"the batches already have a key {self.key!r}: choose another key for the index")
        batch[self.key] = index
        return batch


def pruning_loader(
    dataset: Dataset,
    sampler: "PruningSampler | View",
    collate_fn: Callable[[list[Any]], Any] | None = None,
    **options: Any,
) -> DataLoader:
    """Return a DataLoader whose batches are `(index, batch)`.

    Args:
        dataset: a map-style data set, not yet `indexed`.
        sampler: sampler for the samples of this data set, or its view.
        collate_fn: collate function of the samples without their index. Default: None, for that of PyTorch.
        options: other arguments of the DataLoader, such as `batch_size`, `drop_last` and `num_workers`.

    Raises:
        TypeError: if the data set is `indexed` already.
        ValueError: if the sampler was made for another number of samples, or, with `drop_last`, if a pruned epoch has
            fewer samples than a batch.

    Example:
        >>> from dynprune_lib import Full
        >>> for index, batch in pruning_loader(torch.tensor([1.0, 2.0]), Full(2, 0.0), batch_size=2):
        ...     assert torch.equal(batch, index + 1)
    """
    if isinstance(dataset, IndexedDataset):
        raise TypeError("dataset is indexed() already: pass the data set itself")
    check_num_samples(dataset, sampler)
    check_batch_size(sampler, options.get("batch_size", 1), options.get("drop_last", False))
    return DataLoader(indexed(dataset), sampler=sampler, collate_fn=IndexedCollate(collate_fn), **options)


def check_num_samples(dataset: Any, sampler: "PruningSampler | View", name: str = "dataset") -> None:
    """Raise an error if a data set has no length, or another number of samples than a sampler was made for."""
    if not hasattr(dataset, "__len__"):
        raise TypeError(f"{name} is a {type(dataset).__name__} without a length: a sampler picks samples by position")
    if len(dataset) != sampler.num_samples:
        raise ValueError(f"{name} has {len(dataset)} samples, but the sampler was made for {sampler.num_samples}")


def check_batch_size(sampler: "PruningSampler | View", batch_size: int | None, drop_last: bool) -> None:
    """Raise a ValueError if a pruned epoch has no batch, because an incomplete one is dropped."""
    sampler = sampler.sampler if isinstance(sampler, View) else sampler
    number = sampler.num_kept // (world_size() if sampler.shard else 1)
    if drop_last and batch_size is not None and number < batch_size:
        raise ValueError(
            f"with drop_last=True, an epoch of {number} samples has no batch of {batch_size}: lower batch_size or"
            " prune_rate"
        )
