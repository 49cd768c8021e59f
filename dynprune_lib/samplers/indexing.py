"""A data set that returns the index of every sample, so that a sampler knows which loss belongs to which sample."""

from typing import Any

from torch.utils.data import Dataset


class IndexedDataset(Dataset):
    """Data set that adds the index of every sample: `(index, dataset[index])`.

    `indexed` is an alias that reads well in a training loop: `DataLoader(indexed(train_set), ...)`. Wrap the outermost
    data set: the index is a position in the wrapped data set.

    Args:
        dataset: a map-style data set, also a `Subset` or a `ConcatDataset`.
        key: for samples that are dicts, the key under which the index is added to them. Default: None, which makes
            every sample a pair.

    Example:
        >>> indexed(["cat", "dog"])[1]
        (1, 'dog')
        >>> indexed([{"label": 0}, {"label": 7}], key="index")[1]
        {'label': 7, 'index': 1}
    """

    def __init__(self, dataset: Dataset, key: str | None = None) -> None:
        self.dataset, self.key = dataset, key

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # torch's Dataset does not declare its length

    def __getitem__(self, index: int) -> Any:
        sample = self.dataset[index]
        if self.key is None:
            return index, sample
        if self.key in sample:
            raise ValueError(f"the samples already have a key {self.key!r}: choose another key for the index")
        return {**sample, self.key: index}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dataset!r}, key={self.key!r})"


indexed = IndexedDataset
