"""The iterator of a sampler."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from torch import Tensor

CHUNK = 65_536  # indices converted to Python integers at a time; a list of all would need 36 bytes per sample


class Order(Iterator[int]):
    """Iterator over the samples of an epoch, whose state is the number of samples that it has returned.

    Loaders that resume in the middle of an epoch, such as that of torchdata, save and load this state.

    Example:
        >>> import torch
        >>> order, resumed = Order(torch.tensor([4, 2, 7])), Order(torch.tensor([4, 2, 7]))
        >>> next(order)
        4
        >>> resumed.load_state_dict(order.state_dict())
        >>> list(resumed)
        [2, 7]
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
