"""Checks of a saved state that raise a ValueError naming the first part that is wrong."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real

FINITE = torch.finfo(torch.float32).max  # the largest finite number
PARTS = {"settings", "epoch", "subset", "weights", "memory"}


def check_settings(
    state: Any, settings: dict[str, Any], former_names: Mapping[str, str], defaults: Mapping[str, Any]
) -> None:
    """Check that a state has all its parts and the same settings as the sampler, also by former names.

    A state from before a setting existed was made with what is now its default.

    Example:
        >>> state = {"settings": {"seed": 1}, "epoch": 0, "subset": None, "weights": None, "memory": {}}
        >>> check_settings(state, {"random_state": 1}, former_names={"seed": "random_state"}, defaults={})
        >>> check_settings(state, {"seed": 2}, former_names={}, defaults={"seed": 0})
        Traceback (most recent call last):
            ...
        ValueError: this state has seed = 1, the sampler 2: they must be the same
    """
    missing = PARTS - set(state) if isinstance(state, Mapping) else PARTS
    if missing:
        raise ValueError(f"this is not the state of a sampler: it lacks {', '.join(sorted(missing))}")
    if not isinstance(state["settings"], Mapping):
        raise ValueError(f"settings of this state is {_describe(state['settings'])}: it must be a dict")
    saved = {former_names.get(name, name): value for name, value in state["settings"].items()}
    for name, expected in settings.items():
        found = saved.get(name, defaults.get(name))
        if isinstance(found, Tensor) or found != expected:  # a tensor may have no single truth value
            raise ValueError(f"this state has {name} = {found!r}, the sampler {expected!r}: they must be the same")


def check_subset(subset: Any, lengths: tuple[int, int], num_samples: int) -> None:
    """Check that a subset has different indices in [0, num_samples), int32, in any order, and a length in a range.

    Example:
        >>> check_subset(torch.tensor([4, 0, 4], dtype=torch.int32), lengths=(3, 3), num_samples=5)
        Traceback (most recent call last):
            ...
        ValueError: subset of this state has a sample more than once
    """
    least, most = lengths
    length = min(max(len(subset), least), most) if isinstance(subset, torch.Tensor) and subset.ndim else most
    _check_tensor("subset", subset, (length,), torch.int32, (0, num_samples - 1))
    is_in = torch.zeros(num_samples, dtype=torch.bool)
    is_in[subset.long()] = True
    if is_in.sum() != length:
        raise ValueError("subset of this state has a sample more than once")


def check_weights(weights: Any, num_samples: int | None) -> None:
    """Check that there are `num_samples` loss weights, or none at all if `num_samples` is None.

    Example:
        >>> check_weights(torch.ones(3), num_samples=3)
        >>> check_weights(torch.ones(3), num_samples=None)
        Traceback (most recent call last):
            ...
        ValueError: weights of this state is a tensor of torch.float32, (3,): in its epoch it must be None
    """
    if num_samples is not None:
        _check_tensor("weights", weights, (num_samples,), torch.float32, (0, FINITE))
    elif weights is not None:
        raise ValueError(f"weights of this state is {_describe(weights)}: in its epoch it must be None")


def check_per_sample_state(memory: Any, expected: dict[str, Tensor], ranges: dict[str, tuple[float, float]]) -> None:
    """Check that there are the expected tensors, by name, shape and type, without NaN and with values in their ranges.

    Example:
        >>> check_per_sample_state({"var": torch.tensor([-1.0])}, {"var": torch.zeros(1)}, {"var": (0, 10)})
        Traceback (most recent call last):
            ...
        ValueError: var of this state has values that are not in [0, 10]
    """
    if not isinstance(memory, Mapping):
        raise ValueError(f"memory of this state is {_describe(memory)}: it must be a dict")
    if set(memory) != set(expected):
        raise ValueError(f"memory of this state has {_listed(memory)}: it must have {_listed(expected)}")
    for name, tensor in expected.items():
        span = ranges.get(name, (-torch.inf, torch.inf))
        _check_tensor(name, memory[name], tuple(tensor.shape), tensor.dtype, span)


def check_savings(savings: Any, num_samples: int) -> None:
    """Check that there are the counts of a run, in their ranges.

    Example:
        >>> savings = {"made": -1, "left_out": 0.0, "overlap": None, "selected": torch.zeros(3, dtype=torch.bool)}
        >>> check_savings(savings, num_samples=3)
        Traceback (most recent call last):
            ...
        ValueError: savings of this state, made, is -1: the number of passes must be a number in [0, inf)
    """
    names = {"made", "left_out", "overlap", "selected"}
    if not isinstance(savings, Mapping) or set(savings) != names:
        raise ValueError(f"savings of this state is {_describe(savings)}: it must be a dict of {_listed(names)}")
    for name in ("made", "left_out"):
        real(f"savings of this state, {name},", savings[name], "the number of passes", "[0, inf)")
    if savings["overlap"] is not None:
        real("savings of this state, overlap,", savings["overlap"], "the fraction of samples left out twice", "[0, 1]")
    _check_tensor("savings", savings["selected"], (num_samples,), torch.bool, (0, 1))


def _check_tensor(name: str, found: Any, shape: tuple[int, ...], dtype: torch.dtype, span: tuple[float, float]) -> None:
    if not isinstance(found, Tensor) or found.shape != shape or found.dtype != dtype:
        raise ValueError(f"{name} of this state is {_describe(found)}: it must be a tensor of {dtype}, {shape}")
    low, high = span
    if not ((found >= low) & (found <= high)).all():  # this form also refuses NaN
        raise ValueError(f"{name} of this state has values that are not in [{low}, {high}]")


def _describe(found: Any) -> str:
    is_tensor = isinstance(found, Tensor)
    return f"a tensor of {found.dtype}, {tuple(found.shape)}" if is_tensor else f"a {type(found).__name__}"


def _listed(names: Collection[Any]) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"
