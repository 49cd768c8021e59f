"""Checks of arguments; each raises a ValueError that names the argument, its value and what is allowed."""

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

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


def integer(name: str, value: Any, at_least: int, at_most: int | None = None) -> int:
    """Return the value as an int; raise ValueError if it is not an integer or is out of range."""
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or value < at_least or (at_most is not None and value > at_most):
        allowed = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise ValueError(f"{name} is {value!r}: it must be an integer {allowed}")
    return int(value)


def real(name: str, value: Any, meaning: str, interval: str) -> float:
    """Return the value as a float; raise ValueError if it is not a number in the interval, such as "[0, 1)"."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    inside = isinstance(value, Real) and not isinstance(value, bool) and low <= value <= high
    if not inside or (value == low and interval[0] == "(") or (value == high and interval[-1] == ")"):
        raise ValueError(f"{name} is {value!r}: {meaning} must be a number in {interval}")
    return float(value)


def boolean(name: str, value: Any) -> None:
    """Raise ValueError if the value is neither True nor False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}: it must be True or False")


def choice(name: str, value: Any, allowed: Collection[str]) -> None:
    """Raise ValueError if the value is not one of the allowed strings."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} is {value!r}: it must be one of {', '.join(allowed)}")
