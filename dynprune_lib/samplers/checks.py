"""Refusing what cannot be, with the name and the value of it."""

from numbers import Integral

import torch
from torch import Tensor


def check_batch(what: str, index: Tensor, values: Tensor) -> None:
    """Raises ValueError unless there are integer positions and as many values of the samples, both (B,)."""
    if values.ndim == 0:
        raise ValueError(f"{what} is a scalar: give one value a sample; a loss has them with reduction='none'")
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise ValueError(
            f"index has type {index.dtype}: it must be the integer positions of the samples in the data set, which a"
            " loader gives with indexed(dataset) from dynprune_lib"
        )
    if values.ndim != 1 or index.shape != values.shape:
        raise ValueError(
            f"index has shape {tuple(index.shape)} and {what} {tuple(values.shape)}: both must be (batch size,)"
        )


def integer(name: str, value: int, at_least: int) -> int:
    """The value as an int; raises ValueError if it is none or too small."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name} is {value!r}: it must be an integer of at least {at_least}")
    return int(value)
