"""The contract of all samplers, in one base class: a method adds only how it selects samples and what it remembers."""

import hashlib
from collections.abc import Iterator
from dataclasses import KW_ONLY, MISSING, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Sampler

from dynprune_lib import distributed
from dynprune_lib.samplers.checks import boolean, check_batch, check_index_range, integer, real
from dynprune_lib.samplers.order import Order
from dynprune_lib.samplers.savings import CountsSavings
from dynprune_lib.samplers.schedule import EpochSchedule
from dynprune_lib.samplers.selection import highest_of_repeated
from dynprune_lib.samplers.states import (
    check_per_sample_state,
    check_savings,
    check_settings,
    check_subset,
    check_weights,
)
from dynprune_lib.samplers.usage import UsageMonitor
from dynprune_lib.samplers.wrappers import asked_by_torchdata, check_sharded_once

MAX_SAMPLES = 2**31  # subsets are stored as int32
MAX_EPOCH = 2**31 - 2  # a sampler may store epochs so, too, with -1 for "never"
MAX_SCORE = 1e15  # squares of scores, and of differences of two scores, stay finite in float32


@dataclass(eq=False)
class PruningSampler(EpochSchedule, CountsSavings, Sampler[int]):
    """Base class of the samplers, which yield a shuffled subset of the data set in every epoch.

    A subset has `round((1 - prune_rate) * num_samples)` indices. `set_epoch` selects a new one when a new period
    starts; it depends only on the seed, the period and the recorded scores. The global random states of Python, NumPy
    and PyTorch are neither read nor changed.

    Under `torch.distributed`, all ranks select the same subset and each rank trains on its own shard of it.
    `set_epoch` gathers the scores of all ranks, once per period. `state_dict` is a collective call, too.

    Args:
        num_samples: number of samples in the data set, N, from 1 to 2**31.
        prune_rate: fraction of the samples that a pruned epoch skips, in [0, 1). Default: 0.5.
        period: number of epochs between two selections, at least 1 (T in Raju et al. 2021). The first period starts
            after the warm-up. Default: 1.
        warm_up: number of first epochs on all samples, at least 0. Default: 0.
        anneal_from: first of the last epochs on all samples, counted from 0, at least `warm_up`; None for no such
            epochs. Default: None.
        rescale: whether to weight the loss of every kept sample in proportion to one over its keep probability, so that
            an epoch's gradient estimates that of the mean loss over all samples. The weights of an epoch have mean 1:
            a constant factor would only change the learning rate. Only for samplers that define this probability.
            Default: False.
        seed: seed of all random draws of the sampler, at least 0. Default: 0.

    Raises:
        ValueError: if a setting is out of its range or not supported by the sampler; the message names the setting.
    """

    required_score: ClassVar[str | None] = None  # name in `dynprune_lib.scores.SCORES`; None: any score
    former_names: ClassVar[dict[str, str]] = {}  # of settings, to new names: older records and states have them
    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {}  # of `per_sample_state`; default: any but NaN

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
        self.num_kept: int = round((1 - self.prune_rate) * self.num_samples)
        if self.num_kept == 0:
            raise ValueError(f"prune_rate {self.prune_rate} keeps none of {self.num_samples} samples: lower it")
        if self.rescale:
            self.keep_probability()  # raises if the sampler does not define it
        self.epoch: int = 0
        self._num_trained: int = 0
        self._usage = UsageMonitor()
        self._scores_gathered: bool = True  # whether this rank knows the scores that the others recorded
        self._selected: Tensor | None = None  # subset of the current phase, selected when first requested
        self._weights: Tensor | None = None  # (N,) loss weights of this subset, if the losses are rescaled
        self._reset_savings()

    # Methods that a sampler overrides ------------------------------------------------------------------------------

    def select(self) -> Tensor:
        """Return the `num_kept` distinct indices to keep in the period of `epoch`, in any order and on any device."""
        raise NotImplementedError

    def keep_probability(self) -> Tensor:
        """Return the probability with which each sample was kept, (num_kept,) in the order of `select`.

        A factor that all samples have in common may be left out.
        """
        raise ValueError(
            f"rescale is True: {type(self).__name__} does not select its samples with known probabilities, which"
            " rescaling divides by; use rescale=False"
        )

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Any:
        """Update the per-sample state with the scores of a batch.

        Args:
            index: (B,) int64, positions of the samples in the data set.
            scores: (B,) float32 on the device of `index`, clamped to [-1e15, 1e15].
            usable: (B,) bool, whether a score is finite; the other scores must not be recorded.
        """

    def per_sample_state(self) -> dict[str, Tensor]:
        """Return what the sampler remembers: tensors of shape (N,), by the names of the attributes that hold them."""
        return {}

    @property
    def wanted(self) -> float | None:
        """Share of the data set that the rule of the sampler keeps in this period by itself; None for a ranking."""
        return None

    def settings(self) -> dict[str, Any]:
        """Return the settings that define this sampler; a state can only be loaded if they are equal."""
        return {"sampler": type(self).__name__} | {each.name: getattr(self, each.name) for each in fields(self)}

    # Methods that a training loop calls ----------------------------------------------------------------------------

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch, and select a new subset if the epoch starts a new period.

        Call it before iterating, as for `torch.utils.data.DistributedSampler`.

        Raises:
            ValueError: if `epoch` is not an integer of at least 0.
            RuntimeError: under `torch.distributed`, if the ranks have selected different samples.
        """
        check_sharded_once()
        epoch = integer("epoch", epoch, at_least=0, at_most=MAX_EPOCH)
        self._usage.warn_of_past_epoch(self.epoch, self._num_trained, self.samples_in(self.epoch))
        self._usage.warn_of_return(self.epoch, epoch)
        self._end_epoch()
        is_other, before = epoch != self.epoch, self._selected
        # Epochs of one phase share their subset, so jumping to any of them, also backwards, must not select again.
        # Scores are gathered before `self.epoch` changes: the ranks recorded them on the shards of the old subset.
        if self._phase(epoch) != self._phase(self.epoch):
            is_recorded = not self._scores_gathered
            self._gather_scores()
            self.epoch = epoch
            self._selected, self._weights = self._select()
            if is_recorded:
                self._check_agreement(self._selected)
        self.epoch, self._num_trained = epoch, 0
        if is_other:
            self._compare_with(before)
        self._usage.start_epoch(is_other)

    def update(self, index: Tensor, losses: Tensor, scores: Tensor | None = None, *, per_sample: bool = True) -> Tensor:
        """Record the scores of a batch and return the scalar loss to back-propagate.

        Combines `mean_loss` and `observe`. Scores are recorded without synchronising the device.

        A loss without per-sample values, such as that of a detector, can be passed as the mean of the batch with
        `per_sample=False`. It becomes the score of each sample of the batch; the other samples of the batch change from
        epoch to epoch, so a moving average of it is an estimate of the sample's own part (Zhou et al. 2026). Use a
        bandit for this, whose `alpha` of 0.3 is their setting.

        Args:
            index: (B,) of an integer type, positions of the samples in the data set.
            losses: (B,) of a floating-point type, per-sample losses with their graph (`reduction="none"`).
            scores: (B,) of a floating-point type, higher for samples that are worth more, for example from
                `dynprune_lib.scores`. Default: the losses, with a warning if the sampler has another `required_score`.
            per_sample: whether `losses` has a value per sample; if not, it is a scalar, the mean. Default: True.

        Returns:
            Mean of the losses, weighted if `rescale` is True; a scalar of the type of `losses`.

        Raises:
            ValueError: if `losses` is a scalar, if the lengths differ or if `index` is not of an integer type; without
                `per_sample`, if `losses` is not a scalar, or `rescale` is True.
            IndexError: if an index on the CPU is not in [0, N); elsewhere, PyTorch fails with a device-side assertion.

        References:
            Zhou et al., CVPR 2026, "Batch Loss Score for Dynamic Data Pruning", arXiv:2604.04681. The paper was not
            seen; the smoothing, 0.7 for the old score, is from the authors' README.

        Example:
            >>> from dynprune_lib import UCB
            >>> sampler = UCB(4, prune_rate=0.5, alpha=0.3)
            >>> for samples, mean in (([0, 1], 1.0), ([0, 2], 3.0)):
            ...     loss = sampler.update(torch.tensor(samples), torch.tensor(mean), per_sample=False)
            >>> sampler.mean  # of sample 0: 0.7 x 1 + 0.3 x 3
            tensor([1.6000, 1.0000, 3.0000,    inf])
        """
        if scores is None:
            self._usage.warn_of_losses(type(self).__name__, self.required_score)
        if not per_sample:
            return self._update_by_mean(index, losses, scores)
        loss = self.mean_loss(index, losses)
        self.observe(index, losses if scores is None else scores)
        return loss

    def observe(self, index: Tensor, scores: Tensor) -> None:
        """Record scores without training on them, for example when the whole data set is re-scored.

        A sample that is in the batch several times gets the highest of its scores. Scores are clamped to
        [-1e15, 1e15]. Scores that are not finite are not recorded; the next `set_epoch` warns of their number. The
        arguments and errors are those of `update`. Under `torch.distributed`, pass the same scores on all ranks: of
        what a rank records, only the scores in its own shard are gathered.
        """
        check_batch("scores", index, scores)
        check_index_range(index, self.num_samples)
        scores = scores.detach()
        usable = torch.isfinite(scores)
        self._usage.count(usable)
        scores = scores.float().clamp(-MAX_SCORE, MAX_SCORE)
        index = index.to(scores.device, torch.int64, non_blocking=True)
        self._move_state_to(scores.device)
        self.record(index, *highest_of_repeated(index, scores, usable))
        self._scores_gathered = False

    def mean_loss(self, index: Tensor, losses: Tensor) -> Tensor:
        """Return the scalar loss to back-propagate without recording scores.

        Call it once per batch that is trained on: `steps_left` counts these calls. The arguments, result and errors
        are those of `update`.
        """
        check_batch("losses", index, losses)
        self._num_trained += len(losses)
        if not self.rescale or self._uses_all(self.epoch):
            return losses.mean()
        check_index_range(index, self.num_samples)
        if self._weights is None:
            self._selected, self._weights = self._select()
            assert self._weights is not None  # the epoch is pruned and `rescale` is True
        self._weights = self._weights.to(losses.device, non_blocking=True)
        weights = self._weights[index.to(losses.device, torch.int64, non_blocking=True)]
        return (weights.to(losses.dtype) * losses).mean()

    def indices(self) -> Tensor:
        """Return the samples of this epoch in training order, (len(self),) int64 on the CPU.

        Under `torch.distributed`, these are the samples of this rank's shard.
        """
        self._usage.samples_requested = True
        shard = distributed.shard(self._subset)
        order = torch.randperm(len(shard), generator=self.random_generator("order", self.epoch), dtype=torch.int32)
        return shard[order].long()

    def subset(self) -> Tensor:
        """Return the samples of this epoch on all ranks together, int64 on the CPU, in ascending order."""
        self._usage.samples_requested = True
        return self._subset.long().sort().values

    def __len__(self) -> int:
        check_sharded_once()
        return self.samples_in(self.epoch)

    def __iter__(self) -> Iterator[int]:
        check_sharded_once()
        self._usage.warn_of_repeated_epoch(self.epoch)
        return Order(self.indices())

    def state_dict(self) -> dict[str, Any]:
        """Return the settings, epoch, subset, scores and counts, in copies that later steps do not change."""
        if asked_by_torchdata():
            return {}
        self._gather_scores()
        memory = {name: tensor.clone() for name, tensor in self.per_sample_state().items()}
        subset = self._subset.clone()
        weights = None if self._weights is None else self._weights.clone()
        return {
            "settings": self.settings(),
            "epoch": self.epoch,
            "trained": self._num_trained * distributed.world_size(),
            "subset": subset,
            "weights": weights,
            "memory": memory,
            "savings": self._savings_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`, bit for bit, whichever device it was saved on.

        Raises:
            ValueError: if the state is of another sampler, of other settings or damaged. The message names the first
                wrong part, and the sampler is unchanged.
        """
        if asked_by_torchdata():
            return
        self._check_state(state)
        self.epoch = int(state["epoch"])
        self._num_trained = int(state.get("trained", 0)) // distributed.world_size()  # absent from older states
        self._selected = state["subset"].cpu().clone()
        self._weights = None if state["weights"] is None else state["weights"].clone()
        for name, tensor in self.per_sample_state().items():
            setattr(self, name, state["memory"][name].to(tensor.device, copy=True))
        self._load_savings(state.get("savings"))
        self._scores_gathered = True
        self._usage.scores_recorded, self._usage.resumed_epoch = False, self.epoch
        self._usage.reset_counts()

    # Methods for `select` and `record` to use ----------------------------------------------------------------------

    def random_generator(self, purpose: str, *time: int) -> torch.Generator:
        """Return a CPU generator for one purpose at one time (an epoch or a period), the same on all ranks."""
        key = f"{self.seed}:{purpose}:{time}".encode()
        seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 1
        return torch.Generator().manual_seed(seed)

    def random_subset(self, purpose: str, *time: int) -> Tensor:
        """Return `num_kept` indices drawn uniformly without replacement, (num_kept,) int32."""
        order = torch.randperm(self.num_samples, generator=self.random_generator(purpose, *time), dtype=torch.int32)
        return order[: self.num_kept].clone()

    # Internals -----------------------------------------------------------------------------------------------------

    @property
    def _subset(self) -> Tensor:
        if self._selected is None:
            self._selected, self._weights = self._select()
        return self._selected

    def _update_by_mean(self, index: Tensor, mean: Tensor, scores: Tensor | None) -> Tensor:
        if mean.ndim != 0:
            raise ValueError(f"losses has shape {tuple(mean.shape)}: with per_sample=False, it must be a scalar")
        if self.rescale:
            raise ValueError("rescale is True: the losses of samples that only have a mean cannot be weighted")
        self.observe(index, mean.expand(len(index)) if scores is None else scores)
        self._num_trained += len(index)
        return mean

    def _select(self) -> tuple[Tensor, Tensor | None]:
        """Return the subset of `epoch`, int32 on the CPU, and its loss weights, (N,), or None if all are 1."""
        weights = None
        if self._uses_all(self.epoch):
            selected = torch.arange(self.num_samples, dtype=torch.int32)
        else:
            selected = self.select().to("cpu", torch.int32)
            self._check_length(len(selected))
            if self.rescale:
                inverse = 1 / self.keep_probability().double()
                # without a fixed length, the sum over the epoch is to be that over all samples, as in the sources
                inverse = inverse / inverse.mean() if self.has_fixed_length else inverse
                weights = torch.zeros(self.num_samples, dtype=torch.float32)
                weights[selected.long()] = inverse.to(weights.dtype)
        if distributed.world_size() > 1:
            # shards are slices of the subset, and the remainder belongs to none: neither may follow the order of the
            # data set, which is often sorted by class
            order = torch.randperm(len(selected), generator=self.random_generator("shares", self.period_number))
            selected = selected[order]
        return selected, weights

    def _check_length(self, length: int) -> None:
        least = self.num_kept if self.has_fixed_length else 1
        if not least <= length <= self.num_kept:
            raise RuntimeError(f"{type(self).__name__}.select returned {length} samples, not {self.num_kept}")

    def _gather_scores(self) -> None:
        # only before a selection or a save: in between, no rank needs the scores of the others
        if not self._scores_gathered:
            distributed.all_gather_scores(self.per_sample_state(), self._subset)
            self._scores_gathered = True

    def _check_agreement(self, selected: Tensor) -> None:
        # on the device of the scores, which the backend of the process group has gathered
        devices = {tensor.device for tensor in self.per_sample_state().values()}
        if devices and not distributed.is_same(selected, devices.pop()):
            raise RuntimeError(
                f"the ranks have selected different samples for epoch {self.epoch}: make the sampler with the same"
                " settings and seed on all of them, and pass the same scores to observe()"
            )

    def _move_state_to(self, device: torch.device) -> None:
        for name, tensor in self.per_sample_state().items():
            if tensor.device != device:
                setattr(self, name, tensor.to(device))

    def _check_state(self, state: Any) -> None:
        defaults = {each.name: each.default for each in fields(self) if each.default is not MISSING}
        check_settings(state, self.settings(), self.former_names, defaults)
        epoch = integer("epoch of this state", state["epoch"], at_least=0, at_most=MAX_EPOCH)
        integer("trained of this state", state.get("trained", 0), at_least=0)
        least = 1 if not self.has_fixed_length and not self._uses_all(epoch) else self.greatest_length(epoch)
        check_subset(state["subset"], (least, self.greatest_length(epoch)), self.num_samples)
        check_weights(state["weights"], self.num_samples if self.rescale and not self._uses_all(epoch) else None)
        check_per_sample_state(state["memory"], self.per_sample_state(), self.per_sample_range)
        if state.get("savings") is not None:  # absent from older states
            check_savings(state["savings"], self.num_samples)
