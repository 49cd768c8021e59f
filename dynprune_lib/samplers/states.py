"""Checks of a saved state; each raises a ValueError that names the part that is wrong."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

FINITE = torch.finfo(torch.float32).max  # the largest finite number
PARTS = {"settings", "epoch", "subset", "weights", "memory"}


def check_settings(state: Any, settings: dict[str, Any]) -> None:
    """Check that this is the state of a sampler with the same settings."""
    missing = PARTS - set(state) if isinstance(state, Mapping) else PARTS
    if missing:
        raise ValueError(f"this is no state of a sampler: it lacks {', '.join(sorted(missing))}")
    if not isinstance(state["settings"], Mapping):
        raise ValueError(f"settings of this state is {_describe(state['settings'])}: it must be a dict")
    for name, mine in settings.items():
        theirs = state["settings"].get(name)
        if isinstance(theirs, Tensor) or theirs != mine:
            raise ValueError(f"this state has {name} = {theirs!r}, the sampler {mine!r}: they must be the same")


def check_subset(subset: Any, length: int, num_samples: int) -> None:
    """Check that there are so many different indices, int32, in any order."""
    _check_tensor("subset", subset, (length,), torch.int32, (0, num_samples - 1))
    is_in = torch.zeros(num_samples, dtype=torch.bool)
    is_in[subset.long()] = True
    if is_in.sum() != length:
        raise ValueError("subset of this state has a sample more than once")


def check_weights(weights: Any, num_samples: int | None) -> None:
    """Check that there is a weight for each of `num_samples`, or, if that is None, no weight."""
    if num_samples is not None:
        _check_tensor("weights", weights, (num_samples,), torch.get_default_dtype(), (0, FINITE))
    elif weights is not None:
        raise ValueError(f"weights of this state is {_describe(weights)}: in its epoch it must be None")


def check_per_sample_state(memory: Any, expected: dict[str, Tensor], ranges: dict[str, tuple[float, float]]) -> None:
    """Check that there are the expected tensors, by shape and type, with values in their ranges and without NaN."""
    if not isinstance(memory, Mapping):
        raise ValueError(f"memory of this state is {_describe(memory)}: it must be a dict")
    if set(memory) != set(expected):
        raise ValueError(f"memory of this state has {_listed(memory)}: it must have {_listed(expected)}")
    for name, mine in expected.items():
        _check_tensor(name, memory[name], tuple(mine.shape), mine.dtype, ranges.get(name, (-torch.inf, torch.inf)))


def _check_tensor(name: str, found: Any, shape: tuple[int, ...], dtype: torch.dtype, span: tuple[float, float]) -> None:
    if not isinstance(found, Tensor) or found.shape != shape or found.dtype != dtype:
        raise ValueError(f"{name} of this state is {_describe(found)}: it must be a tensor of {dtype}, {shape}")
    low, high = span
    if not ((found >= low) & (found <= high)).all():  # NaN is in no range
        raise ValueError(f"{name} of this state has values that are not in [{low}, {high}]")


def _describe(found: Any) -> str:
    is_tensor = isinstance(found, Tensor)
    return f"a tensor of {found.dtype}, {tuple(found.shape)}" if is_tensor else f"a {type(found).__name__}"


def _listed(names: Mapping[Any, Any]) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"
