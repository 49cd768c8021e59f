"""Settings of samplers, and checks of them and of batches: errors name the value and what is allowed."""

from collections.abc import Callable, Collection
from dataclasses import Field, field, fields
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

# Settings ----------------------------------------------------------------------------------------------------------


def setting(default: Any, allowed: str | Callable[[], Collection[str]] = "", kw_only: bool = True) -> Any:
    """Return a dataclass field for a setting of a sampler, which is checked when the sampler is made.

    Args:
        default: its default, whose type decides what it must be: a number, an integer, True or False, or a string. None
            stands for an optional integer.
        allowed: interval of a number, such as "[0, 1)"; of a string, a function that returns the choices.
        kw_only: whether it can only be given by name. Default: True.

    Example:
        >>> from dataclasses import dataclass
        >>> from dynprune_lib.samplers import DynamicRandom
        >>> @dataclass(eq=False)
        ... class Restless(DynamicRandom):
        ...     boredom: float = setting(0.5, "(0, 1]")
        >>> Restless(40, boredom=0)
        Traceback (most recent call last):
            ...
        ValueError: boredom is 0: it must be a number in (0, 1]
    """
    return field(default=default, kw_only=kw_only, metadata={"allowed": allowed})


def check_settings(sampler: Any) -> None:
    """Check all settings that were declared by `setting`, and make them Python's own numbers."""
    if undeclared := [name for name, each in vars(type(sampler)).items() if isinstance(each, Field)]:
        name = type(sampler).__name__
        raise TypeError(f"{name} declares {', '.join(undeclared)}: write @dataclass(eq=False) above class {name}")
    for each in fields(sampler):
        if "allowed" in each.metadata:
            setattr(sampler, each.name, checked(each, getattr(sampler, each.name)))


def checked(declared: Field, value: Any) -> Any:
    """Return the value of a field declared by `setting`, or raise a ValueError."""
    name, default, allowed = declared.name, declared.default, declared.metadata["allowed"]
    if isinstance(default, bool):
        return boolean(name, value)
    if isinstance(default, str):
        if not isinstance(value, str) or value not in allowed():
            raise ValueError(f"{name} is {value!r}: it must be one of {', '.join(allowed())}")
        return value
    if isinstance(default, float):
        return real(name, value, allowed)
    if default is None and value is None:
        return None
    low, high = allowed[1:-1].split(", ")
    return integer(name, value, at_least=int(low), at_most=None if high == "inf" else int(high))


def boolean(name: str, value: Any) -> bool:
    """Return the value, or raise a ValueError if it is not True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}: it must be True or False")
    return value


def integer(name: str, value: Any, at_least: int, at_most: int | None = None) -> int:
    """Return the value as an int, or raise a ValueError; booleans are not integers here."""
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if name == "num_samples" and hasattr(value, "__len__"):
        raise ValueError(f"num_samples is a {type(value).__name__}: it must be an integer, len(dataset) for a data set")
    if number is None or number < at_least or (at_most is not None and number > at_most):
        allowed = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise ValueError(f"{name} is {value!r}: it must be an integer {allowed}")
    return number


def real(name: str, value: Any, interval: str) -> float:
    """Return the value as a float, or raise a ValueError if it is no number in an interval such as "[0, 1)"."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    inside = isinstance(value, Real) and not isinstance(value, bool) and value <= high and not value < low
    if not inside or (value == low and interval[0] == "(") or (value == high and interval[-1] == ")"):
        raise ValueError(f"{name} is {value!r}: it must be a number in {interval}")
    return float(value)


# Batches -----------------------------------------------------------------------------------------------------------


def check_batch(name: str, index: Tensor, values: Tensor) -> None:
    """Check that `index` has integer positions and `values` one value for each of them, both of shape (B,)."""
    for part, found in (("index", index), (name, values)):
        if not isinstance(found, Tensor):
            raise ValueError(f"{part} is a {type(found).__name__}: it must be a tensor: pass {_remedy(part)}")
    if values.ndim == 0:
        raise ValueError(
            f"{name} is a scalar: pass per-sample losses or scores, for example of a loss with reduction='none', or"
            " per_sample=False if the loss has no per-sample values"
        )
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise ValueError(
            f"index has type {index.dtype}: it must contain the integer positions of the samples in the data set, which"
            " dynprune_lib.indexed(dataset) adds to every batch"
        )
    if values.ndim != 1 or index.shape != values.shape:
        hint = f"; {_remedy(name)} takes the mean of each sample" if values.ndim > 1 else ""
        if values.ndim == index.ndim == 1:
            hint = "; a collate function that drops samples must drop their index: return None for them in the data set"
        raise ValueError(
            f"index has shape {tuple(index.shape)} and {name} {tuple(values.shape)}: both must be (batch size,){hint}"
        )


def _remedy(name: str) -> str:
    return "torch.as_tensor(index)" if name == "index" else f"dynprune_lib.per_sample({name})"


def check_index_range(index: Tensor, num_samples: int) -> None:
    """Check that the positions are in [0, num_samples), on the CPU: elsewhere, it would synchronise the device."""
    if index.device.type != "cpu" or index.numel() == 0:
        return
    low, high = (int(bound) for bound in torch.aminmax(index))
    if low < 0 or high >= num_samples:
        raise IndexError(
            f"index {low if low < 0 else high} is not in [0, {num_samples}): is it a position in the data set that this"
            " sampler was made for? Of several data sets in each other, the outermost is to be indexed()"
        )
