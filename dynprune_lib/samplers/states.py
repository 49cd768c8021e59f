"""States of samplers: what they remember, saving and loading it, and checks that name the first wrong part."""

import copy
import math
import warnings
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import integer, real
from dynprune_lib.samplers.merge import merge, over_all_processes, rank, world_size
from dynprune_lib.samplers.savings import Savings
from dynprune_lib.samplers.schedule import Schedule
from dynprune_lib.samplers.selection import marks

FINITE = torch.finfo(torch.float32).max  # the largest finite number
MAX_EPOCH = 2**31 - 2  # a sampler may store epochs as int32, with -1 for "never"
PARTS = {"settings", "epoch", "subset", "weights", "memory"}
COUNTS = {"made", "left_out", "overlap", "selected"}


lasting = torch.inference_mode(False)  # what a method with it makes can be changed outside of a caller's inference mode


class Memory(NamedTuple):
    """What a sampler remembers of every sample, in a tensor of shape (N,).

    Args:
        start: value before anything is recorded.
        dtype: type of the tensor. Default: float32.
        low: the lowest possible value, with which the state of a sampler is checked. Default: minus infinity.
        high: the highest. Default: infinity.
    """

    start: float
    dtype: torch.dtype = torch.float32
    low: float = -math.inf
    high: float = math.inf


class States(Schedule):
    """Mixin that saves and loads a sampler, and merges what processes remember."""

    remembers: ClassVar[dict[str, Memory]]
    rescale: bool
    memory: dict[str, Tensor]
    _selected: Tensor | None
    _weights: Tensor | None
    _savings: Savings
    _recorded: Tensor  # (N,) bool, the samples that this process has recorded since the last merge
    _is_just_loaded: bool

    def settings(self) -> dict[str, Any]:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return the settings, epoch, subset, scores and counts, in copies that later steps do not change."""
        self._merge_memory()
        if self._num_trained:
            self._savings.mark(self._subset)
        return {
            "settings": self.settings(),
            "epoch": self.epoch,
            "trained": self._num_trained * world_size(),
            "processes": (world_size(), self.shard),
            "subset": self._subset.clone(),
            "weights": None if self._weights is None else self._weights.clone(),
            "memory": {name: tensor.clone() for name, tensor in self.memory.items()},
            "savings": self._savings.state(),
        }

    @lasting
    def load_state_dict(self, state: dict[str, Any], skip_trained: bool = False) -> None:
        """Resume from a `state_dict`, bit for bit, whichever device it was saved on.

        An older state of the same epoch that follows immediately is ignored with a warning: a loader saved it at an
        earlier batch and loads it without being asked.

        Args:
            state: what `state_dict` returned.
            skip_trained: whether iterating over the resumed epoch leaves out the samples that it had trained on;
                False for loaders and loops that skip batches by themselves. Default: False.

        Raises:
            ValueError: if the state is of another sampler, of other settings or damaged. The message names the first
                wrong part, and the sampler is unchanged.
        """
        self._check_state(state)
        savings = Savings(self.num_samples, state.get("savings"))  # absent from older states, as is "trained"
        trained = int(state.get("trained", 0))
        newer = self._num_trained * world_size() + self._savings.made > trained + savings.made
        if self._is_just_loaded and self.epoch == int(state["epoch"]) and newer:
            warnings.warn(
                "a loader has loaded an older state into this sampler, which was just loaded: the newer one is kept;"
                " pass sampler=sampler.view() to a loader that saves states of its own, and load another run's state"
                " into a new sampler",
                stacklevel=2,
            )
            return
        here = (world_size(), self.shard)
        if skip_trained and tuple(state.get("processes", here)) != here:
            raise ValueError(
                f"this state has (processes, shard) = {tuple(state['processes'])}, here they are {here}: the order in"
                " an epoch differs, so load it without skip_trained, and its epoch starts again"
            )
        self.epoch, self._savings = int(state["epoch"]), savings
        self._selected = state["subset"].cpu().clone()
        self._weights = None if state["weights"] is None else state["weights"].clone()
        for name, tensor in self.memory.items():
            self.memory[name] = state["memory"][name].to(tensor.device, copy=True)
        self._recorded.zero_()
        own = trained // world_size()
        self._usage.start_epoch(own, num_skipped=skip_trained * (own if self.shard else trained))
        self._usage.resumed_epoch, self._is_just_loaded = self.epoch, True

    def __setstate__(self, state: dict[str, Any]) -> None:
        # torch sends tensors to a new process in memory that both share: each is to have its own
        vars(self).update(copy.deepcopy(state))

    @lasting
    def _merge_memory(self) -> None:
        # every process enters, whatever it has recorded, at moments that all have in common
        if world_size() > 1 and self.memory:
            self.memory = merge([(self._recorded, self.memory)], rank(), over_all_processes)
        self._recorded.zero_()

    def _check_state(self, state: Any) -> None:
        check_same_settings(state, self)
        epoch = integer("epoch of this state", state["epoch"], at_least=0, at_most=MAX_EPOCH)
        integer("trained of this state", state.get("trained", 0), at_least=0)
        least = 1 if not self.has_fixed_length and not self._uses_all(epoch) else self.greatest_length(epoch)
        check_subset(state["subset"], (least, self.greatest_length(epoch)), self.num_samples)
        check_weights(state["weights"], self.num_samples if self.rescale and not self._uses_all(epoch) else None)
        check_memory(state["memory"], self.remembers, self.num_samples)
        if state.get("savings") is not None:
            check_savings(state["savings"], self.num_samples)


def check_same_settings(state: Any, sampler: Any) -> None:
    """Check that a state has all its parts and the same settings as the sampler, also by former names.

    A state from before a setting existed was made with what is now its default.
    """
    missing = PARTS - set(state) if isinstance(state, Mapping) else PARTS
    if missing:
        raise ValueError(f"this is not the state of a sampler: it lacks {', '.join(sorted(missing))}")
    if not isinstance(state["settings"], Mapping):
        raise ValueError(f"settings of this state is {_describe(state['settings'])}: it must be a dict")
    defaults = {each.name: each.default for each in fields(sampler) if each.default is not MISSING}
    saved = {sampler.former_names.get(name, name): value for name, value in state["settings"].items()}
    for name, expected in sampler.settings().items():
        found = saved.get(name, defaults.get(name))
        if isinstance(found, Tensor) or found != expected:  # a tensor may have no single truth value
            raise ValueError(f"this state has {name} = {found!r}, the sampler {expected!r}: they must be the same")


def check_subset(subset: Any, lengths: tuple[int, int], num_samples: int) -> None:
    """Check that a subset has different indices in [0, num_samples), int32, in any order, and a length in a range."""
    least, most = lengths
    length = min(max(len(subset), least), most) if isinstance(subset, torch.Tensor) and subset.ndim else most
    check_tensor("subset", subset, (length,), torch.int32, 0, num_samples - 1)
    if marks(num_samples, subset).sum() != length:
        raise ValueError("subset of this state has a sample more than once")


def check_weights(weights: Any, num_samples: int | None) -> None:
    """Check that there are `num_samples` loss weights, or none at all if `num_samples` is None."""
    if num_samples is not None:
        check_tensor("weights", weights, (num_samples,), torch.float32, 0, FINITE)
    elif weights is not None:
        raise ValueError(f"weights of this state is {_describe(weights)}: in its epoch it must be None")


def check_memory(memory: Any, remembers: Mapping[str, Any], num_samples: int) -> None:
    """Check that there are the tensors that a sampler remembers, without NaN and with values in their ranges."""
    if not isinstance(memory, Mapping):
        raise ValueError(f"memory of this state is {_describe(memory)}: it must be a dict")
    if set(memory) != set(remembers):
        raise ValueError(f"memory of this state has {_listed(memory)}: it must have {_listed(remembers)}")
    for name, each in remembers.items():
        check_tensor(name, memory[name], (num_samples,), each.dtype, each.low, each.high)


def check_savings(savings: Any, num_samples: int) -> None:
    """Check that there are the counts of a run, in their ranges."""
    if not isinstance(savings, Mapping) or set(savings) != COUNTS:
        raise ValueError(f"savings of this state is {_describe(savings)}: it must be a dict of {_listed(COUNTS)}")
    for name in ("made", "left_out"):
        real(f"savings of this state, {name},", savings[name], "[0, inf)")
    if savings["overlap"] is not None:
        real("savings of this state, overlap,", savings["overlap"], "[0, 1]")
    check_tensor("savings", savings["selected"], (num_samples,), torch.bool, 0, 1)


def check_tensor(name: str, found: Any, shape: tuple[int, ...], dtype: torch.dtype, low: float, high: float) -> None:
    """Check that a part of a state is a tensor of a shape and type, whose values are in [low, high]."""
    if not isinstance(found, Tensor) or found.shape != shape or found.dtype != dtype:
        raise ValueError(f"{name} of this state is {_describe(found)}: it must be a tensor of {dtype}, {shape}")
    if not ((found >= low) & (found <= high)).all():  # this form also refuses NaN
        raise ValueError(f"{name} of this state has values that are not in [{low}, {high}]")


def _describe(found: Any) -> str:
    is_tensor = isinstance(found, Tensor)
    return f"a tensor of {found.dtype}, {tuple(found.shape)}" if is_tensor else f"a {type(found).__name__}"


def _listed(names: Collection[Any]) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"
