"""The sampler's contract, in one class: an algorithm adds only how it selects and what it remembers."""

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Sampler

from dynprune_lib import distributed
from dynprune_lib.samplers.checks import boolean, check_batch, integer, real
from dynprune_lib.samplers.states import check_per_sample_state, check_settings, check_subset, check_weights

MAX_SAMPLES = 2**31  # indices are kept as int32
MAX_EPOCH = 2**31 - 2  # so are epochs, of which -1 is none
MAX_SCORE = 1e15  # its square, and that of a difference of two, is finite in float32
ITERATION_CHUNK = 65_536  # indices turned into Python integers at a time


@dataclass(eq=False)
class PruningSampler(Sampler[int]):
    """Gives every epoch a shuffled subset of the data set: `round((1 - prune_rate) * num_samples)` samples.

    A new subset is selected when `set_epoch` enters a new period; it depends on the seed, the period and the recorded
    scores alone. No global random state is read or changed.

    Under `torch.distributed` every rank selects the same subset and trains on its own share of it; the scores that
    the ranks recorded are exchanged in `set_epoch`, once a period. `state_dict` is then a collective call as well.

    Args:
        num_samples: size of the data set, N, at most 2**31.
        prune_rate: fraction of the samples left out of every pruned epoch, in [0, 1).
        period: epochs between two selections, T in the paper; the first period begins after the warm-up.
        warm_up: all the data in so many epochs before anything is left out.
        anneal_from: all the data again from this epoch on (epochs count from 0); None: never.
        rescale: weight every kept sample by one over the probability of keeping it, so that an epoch's sum of losses
            is that of all the data in expectation; only for samplers that have such a probability.
        seed: decides every random draw of the sampler.

    Raises:
        ValueError: a setting is out of its range, or this sampler cannot have it; the message names it.
    """

    required_score: ClassVar[str | None] = None  # name in `dynprune_lib.scores`; None: any score
    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {}  # where not every number but NaN is possible

    num_samples: int
    prune_rate: float = 0.5
    _: KW_ONLY
    period: int = 1
    warm_up: int = 0
    anneal_from: int | None = None
    rescale: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self.prune_rate = real("prune_rate", self.prune_rate, "the fraction left out", "[0, 1)")
        self.num_samples = integer("num_samples", self.num_samples, at_least=1, at_most=MAX_SAMPLES)
        for name, lowest in (("period", 1), ("warm_up", 0), ("seed", 0)):
            setattr(self, name, integer(name, getattr(self, name), at_least=lowest))
        if self.anneal_from is not None:
            self.anneal_from = integer("anneal_from", self.anneal_from, at_least=self.warm_up)
        boolean("rescale", self.rescale)
        self.num_kept = round((1 - self.prune_rate) * self.num_samples)
        if self.num_kept == 0:
            raise ValueError(f"prune_rate {self.prune_rate} keeps none of {self.num_samples} samples: lower it")
        if self.rescale:
            self.keep_probability()  # raises where there is none
        self.epoch = 0
        self._trained = 0  # samples of this epoch trained on, by this process
        self._updated = False  # has `observe` been called since `set_epoch`?
        self._warned = False
        self._asked = True  # has anybody asked for the samples of this epoch?
        self._exchanged = True  # does every rank know all the scores?
        self._observed = 0  # scores in this epoch
        self._finite: Tensor | None = None  # those of them that were finite, counted where they live
        self._selected: Tensor | None = None  # this period's subset; the first one is selected when it is asked for
        self._weights: Tensor | None = None  # of the samples in this period's subset, (N,), if they are rescaled

    # What an algorithm defines -------------------------------------------------------------------------------------

    def select(self) -> Tensor:
        """The `num_kept` distinct indices to keep for the period of `self.epoch`, in any order and on any device."""
        raise NotImplementedError

    def keep_probability(self) -> Tensor:
        """The probability with which each of the samples was kept, (num_kept,) in the order of `select`."""
        raise ValueError(
            f"rescale: {type(self).__name__} keeps its samples for certain, not each with some probability that its"
            " loss could be divided by: leave rescale off"
        )

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Any:
        """Remembers the scores (B,) of the samples `index` (B,), all on one device, where `usable` (B,), which says
        whether they are finite."""

    def per_sample_state(self) -> dict[str, Tensor]:
        """What the algorithm remembers of each sample: name -> tensor (N,), the attributes of the same names."""
        return {}

    def settings(self) -> dict[str, Any]:
        """What tells this sampler from another; a state is only loaded into a sampler with the same settings."""
        return {"sampler": type(self).__name__} | {each.name: getattr(self, each.name) for each in fields(self)}

    # What a training loop calls ------------------------------------------------------------------------------------

    def set_epoch(self, epoch: int) -> None:
        """Starts an epoch, selecting a new subset if it opens a new period. Call it before iterating, as for
        `torch.utils.data.DistributedSampler`."""
        epoch = integer("epoch", epoch, at_least=0, at_most=MAX_EPOCH)
        self._report_not_finite()
        self._report_not_asked()
        if self._phase(epoch) != self._phase(self.epoch):
            self._exchange()
            self.epoch = epoch
            self._select()
        self.epoch, self._trained = epoch, 0
        self._updated = self._asked = False

    def update(self, index: Tensor, losses: Tensor, scores: Tensor | None = None) -> Tensor:
        """Records the scores of a batch, by default its losses, and returns the scalar to back-propagate: the mean of
        the losses, weighted if `rescale` is on. It is `observe` and `mean_loss` in one call.

        Nothing is copied to the host, and a device is not waited for. An index out of range raises IndexError here if
        `index` is on the CPU, and is a device-side assertion of torch otherwise.

        Args:
            index: (B,) integers, the positions of the samples in the data set.
            losses: (B,) floats of any precision, with their graph: `reduction="none"`.
            scores: (B,) floats, the higher the more a sample is worth; `dynprune_lib.scores` has some.

        Raises:
            ValueError: `losses` is a scalar, not all have one length, or `index` has no integers.
            IndexError: an index is not in [0, num_samples).
        """
        loss = self.mean_loss(index, losses)
        self.observe(index, losses if scores is None else scores)
        return loss

    def observe(self, index: Tensor, scores: Tensor) -> None:
        """Record scores without training on them, as when the whole data set is re-scored.

        Scores are clamped to [-1e15, 1e15], so that their squares are finite; those that are not finite are counted,
        reported by the next `set_epoch`, and not recorded. Arguments as for `update`.
        """
        check_batch("scores", index, scores)
        self._check_range(index)
        scores = scores.detach()
        usable = torch.isfinite(scores)
        scores = scores.float().clamp(-MAX_SCORE, MAX_SCORE)
        self._remember_on(scores.device)
        finite = usable.sum()
        self._observed += len(scores)
        self._finite = finite if self._finite is None else self._finite.to(finite.device).add_(finite)
        self.record(index.to(scores.device, torch.int64, non_blocking=True), scores, usable)
        self._updated = True
        self._exchanged = False

    def mean_loss(self, index: Tensor, losses: Tensor) -> Tensor:
        """Return the scalar to back-propagate without recording scores; call it once for each batch trained on, which
        `steps_left` counts. Arguments as for `update`."""
        check_batch("losses", index, losses)
        self._trained += len(losses)
        if not self.rescale or self._has_all(self.epoch):
            return losses.mean()
        self._check_range(index)
        if self._weights is None:
            self._select()  # the weights are made with the first subset
        self._weights = self._weights.to(losses.device, non_blocking=True)
        weights = self._weights[index.to(losses.device, torch.int64, non_blocking=True)]
        return (weights.to(losses.dtype) * losses).mean()

    def indices(self) -> Tensor:
        """This epoch's samples in this epoch's order, (len(self),) int64 on the CPU: under torch.distributed, this
        rank's share of them."""
        self._asked = True
        share = distributed.shard(self._subset)
        order = torch.randperm(len(share), generator=self.generator("order", self.epoch), dtype=torch.int32)
        return share[order].long()

    def subset(self) -> Tensor:
        """The samples of this epoch on all ranks together, (samples,) int64 on the CPU, ascending."""
        self._asked = True
        return self._subset.long().sort().values

    def samples_in(self, epoch: int) -> int:
        """How many samples an epoch has, past or to come: under torch.distributed, this rank's share of them."""
        return distributed.shard_length(self._num_selected(epoch))

    def total_steps(self, epochs: int, batch_size: int, drop_last: bool = True) -> int:
        """Steps of a training of so many epochs, known before it begins, as a learning-rate schedule wants them; batch
        size (under torch.distributed, a rank's) and `drop_last` as of the loader."""
        return self._steps(range(epochs), batch_size, drop_last)

    def steps_left(self, epochs: int, batch_size: int, drop_last: bool = True) -> int:
        """Return how many of `total_steps` are still to be made: at the start of an epoch, in the middle of it or after
        its end, also after `load_state_dict`. Steps are counted by the batches that `update` or `mean_loss` got since
        `set_epoch`, which begins an epoch anew."""
        if self.epoch >= epochs:
            return 0
        later = self._steps(range(self.epoch + 1, epochs), batch_size, drop_last)
        if self._trained >= len(self):
            return later
        of_this_epoch = self._steps(range(self.epoch, self.epoch + 1), batch_size, drop_last)
        return later + of_this_epoch - self._trained // batch_size

    def selects_at(self, epoch: int) -> bool:
        """Will `set_epoch(epoch)` select a new subset, by what is known then?"""
        return self._phase(epoch) not in (None, self._phase(self.epoch))

    def __len__(self) -> int:
        return self.samples_in(self.epoch)

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
        memory = {name: tensor.clone() for name, tensor in self.per_sample_state().items()}
        subset = self._subset.clone()
        weights = None if self._weights is None else self._weights.clone()
        return {
            "settings": self.settings(),
            "epoch": self.epoch,
            "trained": self._trained * distributed.world_size(),
            "subset": subset,
            "weights": weights,
            "memory": memory,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`, bit for bit, whatever device it was made on.

        Raises:
            ValueError: the state is of another sampler, of other settings or damaged; the message names the first part
                that is wrong, and the sampler is left as it was.
        """
        self._check_state(state)
        self.epoch = int(state["epoch"])
        self._trained = int(state.get("trained", 0)) // distributed.world_size()  # earlier versions saved none
        self._selected = state["subset"].cpu().clone()
        self._weights = None if state["weights"] is None else state["weights"].clone()
        for name, tensor in self.per_sample_state().items():
            setattr(self, name, state["memory"][name].to(tensor.device, copy=True))
        self._updated = False
        self._exchanged = True
        self._observed, self._finite = 0, None

    # What the algorithms share -------------------------------------------------------------------------------------

    @property
    def period_number(self) -> int:
        """The period that `self.epoch` lies in, counted from 0, which is the first after the warm-up."""
        return (self.epoch - self.warm_up) // self.period

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
            self._select()
        return self._selected

    def _select(self) -> None:
        """Makes the subset of `self.epoch`, int32 on the CPU, 4 bytes a sample, and its weights."""
        if self._has_all(self.epoch):
            selected, self._weights = torch.arange(self.num_samples, dtype=torch.int32), None
        else:
            selected = self.select().to("cpu", torch.int32)
            if len(selected) != self.num_kept:
                name = type(self).__name__
                raise RuntimeError(f"{name}.select returned {len(selected)} samples, not {self.num_kept}")
            self._weights = self._inverse_probability(selected) if self.rescale else None
        if distributed.world_size() > 1:
            # the shares, and the few samples that fit in none, must not follow the order of the data set
            order = torch.randperm(len(selected), generator=self.generator("shares", self.period_number))
            selected = selected[order]
        self._selected = selected

    def _inverse_probability(self, selected: Tensor) -> Tensor:
        return torch.zeros(self.num_samples).index_copy_(0, selected.long(), 1 / self.keep_probability())

    def _steps(self, epochs: range, batch_size: int, drop_last: bool) -> int:
        left_over = 0 if drop_last else batch_size - 1
        return sum((self.samples_in(epoch) + left_over) // batch_size for epoch in epochs)

    def _num_selected(self, epoch: int) -> int:
        return self.num_samples if self._has_all(epoch) else self.num_kept

    def _has_all(self, epoch: int) -> bool:
        """Is this an epoch of warm-up or annealing?"""
        return epoch < self.warm_up or (self.anneal_from is not None and epoch >= self.anneal_from)

    def _phase(self, epoch: int) -> int | None:
        """Epochs of one phase have one subset: a period, or all the data."""
        return None if self._has_all(epoch) else (epoch - self.warm_up) // self.period

    def _check_state(self, state: Any) -> None:
        check_settings(state, self.settings())
        epoch = integer("epoch of this state", state["epoch"], at_least=0, at_most=MAX_EPOCH)
        integer("trained of this state", state.get("trained", 0), at_least=0)
        check_subset(state["subset"], self._num_selected(epoch), self.num_samples)
        check_weights(state["weights"], self.num_samples if self.rescale and not self._has_all(epoch) else None)
        check_per_sample_state(state["memory"], self.per_sample_state(), self.per_sample_range)

    def _remember_on(self, device: torch.device) -> None:
        for name, tensor in self.per_sample_state().items():
            if tensor.device != device:
                setattr(self, name, tensor.to(device))

    def _exchange(self) -> None:
        if not self._exchanged:
            distributed.all_gather_scores(self.per_sample_state(), self._subset)
            self._exchanged = True

    def _check_range(self, index: Tensor) -> None:
        if index.device.type != "cpu" or index.numel() == 0:
            return
        low, high = (int(bound) for bound in torch.aminmax(index))
        if low < 0 or high >= self.num_samples:
            raise IndexError(
                f"index {low if low < 0 else high} is not in [0, {self.num_samples}): is it a position in the data"
                " set that this sampler was made for?"
            )

    def _report_not_finite(self) -> None:
        count = self._observed - (0 if self._finite is None else int(self._finite))
        self._observed, self._finite = 0, None
        if count:
            warnings.warn(f"{count} losses or scores of epoch {self.epoch} were not finite: not recorded", stacklevel=3)

    def _report_not_asked(self) -> None:
        if self._updated and not self._asked and not self._warned:
            self._warned = True
            warnings.warn(
                f"losses of epoch {self.epoch} were recorded, but nobody asked this sampler which samples to take: give"
                " it to the DataLoader as `sampler=`, as it is (a DistributedSampler around it would take others)",
                stacklevel=3,
            )

    @staticmethod
    def _iterate(order: Tensor) -> Iterator[int]:
        for chunk in order.split(ITERATION_CHUNK):
            yield from chunk.tolist()
