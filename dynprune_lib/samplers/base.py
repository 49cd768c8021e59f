"""The sampler's contract, in one class: an algorithm adds only how it selects and what it remembers."""

import hashlib
import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from dynprune_lib.samplers import distributed

ITERATION_CHUNK = 65_536  # indices turned into Python integers at a time


class PruningSampler(Sampler[int]):
    """Gives every epoch a shuffled subset of the data set: `round((1 - prune_rate) * num_samples)` samples.

    A new subset is selected when `set_epoch` enters a new period (epochs 0 to period - 1 are the first); it depends on
    the seed, the period and the recorded scores alone. No global random state is read or changed.

    Under `torch.distributed` every rank selects the same subset and trains on its own share of it; the scores that
    the ranks recorded are exchanged in `set_epoch`, once a period. `state_dict` is then a collective call as well.

    Args:
        num_samples: size of the data set, N.
        prune_rate: fraction of the samples left out of every epoch, in [0, 1).
        period: epochs between two selections, T in the paper.
        seed: decides every random draw of the sampler.

    Raises:
        ValueError: a setting is out of its range; the message names it.
    """

    def __init__(self, num_samples: int, prune_rate: float = 0.5, *, period: int = 1, seed: int = 0) -> None:
        if not (isinstance(prune_rate, Real) and 0 <= prune_rate < 1):
            raise ValueError(f"prune_rate is {prune_rate!r}: it is the fraction left out, at least 0 and below 1")
        self.num_samples = _integer("num_samples", num_samples, at_least=1)
        self.prune_rate = float(prune_rate)
        self.period = _integer("period", period, at_least=1)
        self.seed = _integer("seed", seed, at_least=0)
        self.num_kept = round((1 - self.prune_rate) * self.num_samples)
        if self.num_kept == 0:
            raise ValueError(f"prune_rate {prune_rate} keeps none of {num_samples} samples: lower it")
        self.epoch = 0
        self._updated = False  # has `update` been called since `set_epoch`?
        self._warned = False
        self._exchanged = True  # does every rank know all the scores?
        self._not_finite: Tensor | None = None  # scores that were not finite in this epoch, counted where they live
        self._selected: Tensor | None = None  # this period's subset; the first one is selected when it is asked for

    # What an algorithm defines -------------------------------------------------------------------------------------

    def select(self) -> Tensor:
        """The `num_kept` distinct indices to keep for the period of `self.epoch`, in any order and on any device."""
        raise NotImplementedError

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        """Remembers the scores (B,) of the samples `index` (B,), all on one device, where `usable` (B,), which says
        whether they are finite."""

    def memory(self) -> dict[str, Tensor]:
        """What the algorithm remembers of each sample: name -> tensor (N,), the attributes of the same names."""
        return {}

    def settings(self) -> dict[str, Any]:
        """What tells this sampler from another; a state is only loaded into a sampler with the same settings."""
        names = ("num_samples", "prune_rate", "period", "seed")
        return {"sampler": type(self).__name__} | {name: getattr(self, name) for name in names}

    # What a training loop calls ------------------------------------------------------------------------------------

    def set_epoch(self, epoch: int) -> None:
        """Starts an epoch, selecting a new subset if it opens a new period. Call it before iterating, as for
        `torch.utils.data.DistributedSampler`."""
        epoch = _integer("epoch", epoch, at_least=0)
        self._report_not_finite()
        if epoch // self.period == self.period_number:
            self.epoch = epoch
        else:
            self._exchange()
            self.epoch = epoch
            self._selected = self._select()
        self._updated = False

    def update(self, index: Tensor, losses: Tensor, scores: Tensor | None = None) -> Tensor:
        """Records the scores of a batch, by default its losses, and returns the scalar to back-propagate: the mean of
        the losses.

        Nothing is copied to the host, and a device is not waited for. An index out of range raises IndexError here if
        `index` is on the CPU, and is a device-side assertion of torch otherwise.

        Args:
            index: (B,) integers, the positions of the samples in the data set.
            losses: (B,) floats of any precision, with their graph: `reduction="none"`.
            scores: (B,) floats, the higher the more a sample is worth; `dynprune_lib.scores` has some.

        Raises:
            ValueError: `losses` is a scalar, or not all have one length.
            IndexError: an index is not in [0, num_samples).
        """
        if losses.ndim == 0:
            raise ValueError("losses is a scalar: give one loss a sample, as reduction='none' returns them")
        if losses.ndim != 1 or index.shape != losses.shape:
            raise ValueError(
                f"index has shape {tuple(index.shape)} and losses {tuple(losses.shape)}: both must be (batch size,)"
            )
        if index.device.type == "cpu":
            self._check_range(index)
        if scores is not None and scores.shape != losses.shape:
            raise ValueError(
                f"scores has shape {tuple(scores.shape)} and losses {tuple(losses.shape)}: both must agree"
            )
        scores = (losses if scores is None else scores).detach().float()
        self._remember_on(scores.device)
        usable = torch.isfinite(scores)
        bad = (~usable).sum()
        self._not_finite = bad if self._not_finite is None else self._not_finite.to(bad.device).add_(bad)
        self.record(index.to(scores.device, torch.int64, non_blocking=True), scores, usable)
        self._updated = True
        self._exchanged = False
        return losses.mean()

    def indices(self) -> Tensor:
        """This epoch's samples in this epoch's order, (len(self),) int64 on the CPU: under torch.distributed, this
        rank's share of them."""
        share = distributed.share(self._subset)
        order = torch.randperm(len(share), generator=self.generator("order", self.epoch), dtype=torch.int32)
        return share[order].long()

    def subset(self) -> Tensor:
        """The samples kept in this period on all ranks together, (num_kept,) int64 on the CPU, ascending."""
        return self._subset.long().sort().values

    def __len__(self) -> int:
        return distributed.share_length(self.num_kept)

    def __iter__(self) -> Iterator[int]:
        if self._updated and not self._warned:
            self._warned = True
            warnings.warn(
                f"set_epoch() was not called after epoch {self.epoch}: the same samples come again, in the same order."
                " Call sampler.set_epoch(epoch) at the start of every epoch.",
                stacklevel=2,
            )
        return self._iterate(self.indices())

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on: settings, epoch, subset and scores (tensors that no later step changes)."""
        self._exchange()
        memory = {name: tensor.clone() for name, tensor in self.memory().items()}
        return {"settings": self.settings(), "epoch": self.epoch, "subset": self._subset.clone(), "memory": memory}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a `state_dict`, bit for bit, whatever device it was made on.

        Raises:
            ValueError: the state is of another sampler or of other settings; the message names the first of them.
        """
        missing = {"settings", "epoch", "subset", "memory"} - set(state)
        if missing:
            raise ValueError(f"this is no state of a sampler: it lacks {', '.join(sorted(missing))}")
        for name, mine in self.settings().items():
            theirs = state["settings"].get(name)
            if theirs != mine:
                raise ValueError(f"this state has {name} = {theirs!r}, the sampler {mine!r}: they must be the same")
        self.epoch = state["epoch"]
        self._selected = state["subset"].cpu().clone()
        for name, tensor in self.memory().items():
            setattr(self, name, state["memory"][name].to(tensor.device, copy=True))
        self._updated = False
        self._exchanged = True
        self._not_finite = None

    # What the algorithms share -------------------------------------------------------------------------------------

    @property
    def period_number(self) -> int:
        """The period that `self.epoch` lies in, counted from 0."""
        return self.epoch // self.period

    def generator(self, purpose: str, *time: int) -> torch.Generator:
        """A CPU generator for one purpose at one time (an epoch, a period), the same on every device and rank."""
        key = f"{self.seed}:{purpose}:{time}".encode()
        seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 1
        return torch.Generator().manual_seed(seed)

    def random_subset(self, purpose: str, *time: int) -> Tensor:
        """`num_kept` of the `num_samples` indices, uniformly, (num_kept,) int32."""
        order = torch.randperm(self.num_samples, generator=self.generator(purpose, *time), dtype=torch.int32)
        return order[: self.num_kept].clone()

    @property
    def _subset(self) -> Tensor:
        if self._selected is None:
            self._selected = self._select()
        return self._selected

    def _select(self) -> Tensor:
        """The selection of the period of `self.epoch`: (num_kept,) int32 on the CPU, 4 bytes a sample."""
        selected = self.select().to("cpu", torch.int32)
        if distributed.world_size() == 1:
            return selected
        # the shares, and the few samples that fit in none, must not follow the order of the data set
        return selected[torch.randperm(len(selected), generator=self.generator("shares", self.period_number))]

    def _remember_on(self, device: torch.device) -> None:
        for name, tensor in self.memory().items():
            if tensor.device != device:
                setattr(self, name, tensor.to(device))

    def _exchange(self) -> None:
        if not self._exchanged:
            distributed.exchange(self.memory(), self._subset)
            self._exchanged = True

    def _check_range(self, index: Tensor) -> None:
        if index.numel() == 0:
            return
        low, high = (int(bound) for bound in torch.aminmax(index))
        if low < 0 or high >= self.num_samples:
            raise IndexError(
                f"index {low if low < 0 else high} is not in [0, {self.num_samples}): is it a position in the data"
                " set that this sampler was made for?"
            )

    def _report_not_finite(self) -> None:
        count = 0 if self._not_finite is None else int(self._not_finite)
        self._not_finite = None
        if count:
            warnings.warn(f"{count} losses or scores of epoch {self.epoch} were not finite: not recorded", stacklevel=3)

    @staticmethod
    def _iterate(order: Tensor) -> Iterator[int]:
        for chunk in order.split(ITERATION_CHUNK):
            yield from chunk.tolist()


def _integer(name: str, value: int, at_least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name} is {value!r}: it must be an integer of at least {at_least}")
    return int(value)
