"""A data set whose samples say their position, so that a sampler can be told whose loss is whose."""

from typing import Any

from torch.utils.data import Dataset


class indexed(Dataset):  # noqa: N801 (reads as a verb in the user's loop, like enumerate)
    """Gives `(index, dataset[index])`. Wrap the outermost data set: index is a position in what is wrapped.

    Args:
        dataset: any map-style data set, a `Subset` or a `ConcatDataset` too.
        key: for samples that are dicts and are to stay so: the name that the index gets in them.
    """

    def __init__(self, dataset: Dataset, key: str | None = None) -> None:
        self.dataset, self.key = dataset, key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        sample = self.dataset[index]
        if self.key is None:
            return index, sample
        if self.key in sample:
            raise ValueError(f"samples have a {self.key!r} already: give the index another key")
        return {**sample, self.key: index}
