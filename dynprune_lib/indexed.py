"""A data set whose samples say their position, so that a sampler can be told whose loss is whose."""

from typing import Any

from torch.utils.data import Dataset


class indexed(Dataset):  # noqa: N801 (reads as a verb in the user's loop, like enumerate)
    """Gives `(index, dataset[index])`. Wrap the outermost data set: index is a position in what is wrapped."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.dataset[index]
