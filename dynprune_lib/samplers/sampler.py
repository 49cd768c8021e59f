"""The contract of all samplers, in one base class: a method adds only what it remembers and how it selects."""

import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data.distributed import DistributedSampler

from dynprune_lib.samplers.checks import check_batch, check_index_range, check_settings, integer, setting
from dynprune_lib.samplers.loading import Order, View
from dynprune_lib.samplers.merge import is_same, rank, world_size
from dynprune_lib.samplers.registry import register
from dynprune_lib.samplers.savings import Savings, SavingsReport
from dynprune_lib.samplers.selection import highest_of_repeated, none_of
from dynprune_lib.samplers.states import MAX_EPOCH, Memory, States, lasting
from dynprune_lib.samplers.usage import Usage

MAX_SAMPLES = 2**31  # subsets are stored as int32
MAX_SCORE = 1e15  # squares of scores, and of differences of two scores, stay finite in float32


@dataclass(eq=False)
class PruningSampler(States, DistributedSampler[int]):  # of which Lightning and Fabric make no shards
    """Base class of the samplers, which yield a shuffled subset of the data set in every epoch.

    A subset has `round((1 - prune_rate) * num_samples)` indices. `set_epoch` selects a new one when a new period
    starts; it depends only on the seed, the period and the recorded scores. The global random states of Python, NumPy
    and PyTorch are neither read nor changed.

    Under `torch.distributed`, all processes select the same subset, and each trains on its own shard of it. `set_epoch`
    and `state_dict` are collective calls, which share what the processes have recorded. After the first epoch,
    `set_epoch` raises an error if the samples were distributed twice, or not at all.

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
        shard: whether the sampler gives each process its shard. False for loaders that distribute samples themselves,
            such as those prepared by accelerate. Default: True.

    Raises:
        ValueError: if a setting is out of its range or not supported by the sampler; the message names the setting.
    """

    name: ClassVar[str] = ""  # in SAMPLERS; a class without one can only be named by "module:Class"
    remembers: ClassVar[dict[str, Memory]] = {}  # the tensors in `memory`
    required_score: ClassVar[str | None] = None  # name in `dynprune_lib.scores.SCORES`; None: any score
    former_names: ClassVar[dict[str, str]] = {}  # of settings, to new names: older records and states have them

    num_samples: int
    prune_rate: float = setting(0.5, "[0, 1)", kw_only=False)
    period: int = setting(1, "[1, inf)")
    warm_up: int = setting(0, "[0, inf)")
    anneal_from: int | None = setting(None, "[0, inf)")
    rescale: bool = setting(False)
    seed: int = setting(0, "[0, inf)")
    shard: bool = setting(True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if name := vars(cls).get("name"):
            register(cls, name)

    @lasting
    def __post_init__(self) -> None:
        self.num_samples = integer("num_samples", self.num_samples, at_least=1, at_most=MAX_SAMPLES)
        check_settings(self)
        if self.anneal_from is not None:
            integer("anneal_from", self.anneal_from, at_least=self.warm_up)
        self.num_kept: int = round((1 - self.prune_rate) * self.num_samples)
        if self.num_kept == 0:
            raise ValueError(f"prune_rate {self.prune_rate} keeps none of {self.num_samples} samples: lower it")
        if self.rescale and type(self).keep_probability is PruningSampler.keep_probability:
            raise ValueError(
                f"rescale is True: {type(self).__name__} does not select its samples with known probabilities, which"
                " rescaling divides by; use rescale=False"
            )
        self.memory: dict[str, Tensor] = {
            name: torch.full((self.num_samples,), each.start, dtype=each.dtype, device="cpu")
            for name, each in self.remembers.items()
        }
        self.epoch: int = 0
        self._selected: Tensor | None = None  # subset of the current phase, selected when first requested
        self._weights: Tensor | None = None  # (N,) loss weights of this subset, if the losses are rescaled
        self._savings = Savings(self.num_samples)
        self._recorded: Tensor = none_of(self.num_samples)  # by this process, since the last merge
        self._usage = Usage(self.num_samples)
        self._is_just_loaded: bool = False

    # Methods that a sampler overrides ------------------------------------------------------------------------------

    def select(self) -> Tensor:
        """Return the `num_kept` distinct indices to keep in the period of `epoch`, in any order and on any device."""
        raise NotImplementedError

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Any:
        """Update `memory` with the scores of a batch.

        Args:
            index: (B,) int64, positions of the samples in the data set.
            scores: (B,) float32 on the device of `index` and `memory`, clamped to [-1e15, 1e15].
            usable: (B,) bool, whether a score is finite; the other scores must not be recorded.
        """

    def keep_probability(self) -> Tensor:
        """Return the probability with which each sample was kept, (num_kept,) in the order of `select`.

        A factor that all samples have in common may be left out. A sampler without this method cannot rescale.
        """
        raise NotImplementedError

    @property
    def wanted(self) -> float | None:
        """Share of the data set that the rule alone keeps in this period; None for a ranking."""
        return None

    def settings(self) -> dict[str, Any]:
        """Return the settings that define this sampler; a state can only be loaded if they are equal."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "shard"}
        return {"sampler": type(self).__name__} | own

    # Methods that a training loop calls ----------------------------------------------------------------------------

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch, and select a new subset if the epoch starts a new period.

        Call it before iterating, as for `torch.utils.data.DistributedSampler`.

        Raises:
            ValueError: if `epoch` is not an integer of at least 0.
            RuntimeError: under `torch.distributed`, if the processes have selected different samples, if an epoch was
                distributed twice, or not at all.
        """
        epoch = integer("epoch", epoch, at_least=0, at_most=MAX_EPOCH)
        if epoch == self.epoch and self._usage.num_skipped:  # a resumed epoch, which goes on
            return
        is_other, before = epoch != self.epoch, self._selected
        # at the very beginning, too, processes agree on what they were given before, and select by that
        is_first = not (self._usage.is_started or is_other or self._usage.resumed_epoch is not None)
        is_first = is_first and (world_size() > 1 or not self._num_trained)
        subset = self._subset if self._num_trained or (world_size() > 1 and not is_first) else None
        self._usage.end_epoch(self.epoch, epoch, subset, self.indices, self.shard)
        self._count_passes(self._savings)
        # Epochs of one phase share their subset, so jumping to any of them, also backwards, must not select again.
        if is_first or self._phase(epoch) != self._phase(self.epoch):
            self._merge_memory()
            self.epoch = epoch
            self._select()
            if world_size() > 1 and not is_same(self._subset):
                raise RuntimeError(
                    f"the processes have selected different samples for epoch {epoch}: make the sampler with the same"
                    " settings and seed in all of them, and pass the same scores to observe()"
                )
        self.epoch = epoch
        self._usage.start_epoch()
        if is_other:
            self._savings.compare(before, self._selected)

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
                `dynprune_lib.scores`. Default: the losses, without the weights of `dynprune_lib.unreduced`, with a
                warning if the sampler has another `required_score`.
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
            >>> sampler.memory["mean"]  # of sample 0: 0.7 x 1 + 0.3 x 3
            tensor([1.6000, 1.0000, 3.0000,    inf])
        """
        if scores is None and self.required_score not in (None, "loss"):
            self._usage.warn_once(
                "score",
                f"{type(self).__name__} is defined for the score {self.required_score}, but update() was called without"
                " scores, so it selects by the losses: pass scores=..., for example of dynprune_lib.scores",
            )
        if not per_sample:
            if losses.ndim != 0:
                raise ValueError(f"losses has shape {tuple(losses.shape)}: with per_sample=False, it must be a scalar")
            if self.rescale:
                raise ValueError("rescale is True: the losses of samples that only have a mean cannot be weighted")
            mean, losses = losses, losses.expand(len(index))
        index = self._checked("losses", index, losses)
        loss = self._train_on(index, losses)
        if scores is not None:
            self._record(self._checked("scores", index, scores), scores)
        elif hasattr(losses, "scores"):  # of a loss with weights or a mask, by `unreduced` or `per_sample`
            self._record(index, losses.scores, losses)
        else:
            self._record(index, losses)
        return loss if per_sample else mean

    def observe(self, index: Tensor, scores: Tensor) -> None:
        """Record scores without training on them, for example when the whole data set is re-scored.

        A sample that is in the batch several times gets the highest of its scores. Scores are clamped to
        [-1e15, 1e15]. Scores that are not finite are not recorded; the next `set_epoch` warns of their number. The
        arguments and errors are those of `update`. Under `torch.distributed`, a sample may be scored by any process,
        or by several, which then pass the same scores.
        """
        self._record(self._checked("scores", index, scores), scores)

    def mean_loss(self, index: Tensor, losses: Tensor) -> Tensor:
        """Return the scalar loss to back-propagate without recording scores.

        Call it once per batch that is trained on: `steps_left` counts these calls. The arguments, result and errors
        are those of `update`.
        """
        return self._train_on(self._checked("losses", index, losses), losses)

    def indices(self) -> Tensor:
        """Return the samples of this epoch in training order, (len(self),) int64 on the CPU.

        Under `torch.distributed`, these are the samples of this process's shard, if the sampler makes shards.
        """
        own, world = self._subset, world_size()
        if self.shard:
            own = own[rank() : len(own) // world * world : world]  # all equally long: the remainder belongs to none
        return own[self.random_order(len(own), "order", self.epoch)].long()

    def subset(self) -> Tensor:
        """Return the samples of this epoch in all processes together, int64 on the CPU, in ascending order."""
        return self._subset.long().sort().values

    def __len__(self) -> int:
        return self.samples_in(self.epoch)

    def __iter__(self) -> Iterator[int]:
        self._usage.is_iterated = bool(self.memory)  # a sampler without memory needs no update()
        return Order(self.indices()[self._usage.num_skipped :])

    def view(self) -> View:
        """Return an object with the samples of this sampler, and nothing else, for loaders that do more than iterate.

        The loader of torchdata saves and loads the state of its sampler at every batch, those of Fabric and accelerate
        count the epochs themselves. With `sampler=sampler.view()` they leave both to the training loop.

        Example:
            >>> from dynprune_lib import UCB
            >>> sampler = UCB(4, prune_rate=0.5)
            >>> list(sampler.view()) == list(sampler)
            True
        """
        return View(self)

    def report(self) -> SavingsReport:
        """Return how much was saved so far. It can be called at any moment, and in any process.

        The seconds saved are not part of it: the sampler does not see the forward and backward passes.

        Example:
            >>> from dynprune_lib import RS2
            >>> sampler = RS2(100, prune_rate=0.75)
            >>> for epoch in range(3):
            ...     sampler.set_epoch(epoch)
            ...     for index in sampler.indices().split(5):
            ...         loss = sampler.update(index, torch.rand(len(index)))
            >>> report = sampler.report()  # also a sentence: print(report)
            >>> report.passes_made, report.passes_left_out, report.never_selected, report.overlap
            (75, 225, 0.25, 0.667)
        """
        savings = copy.copy(self._savings)  # the marks of selected samples are shared: they would be made anyway
        self._count_passes(savings)
        return savings.report()

    # Methods for `select` and `record` to use ----------------------------------------------------------------------

    def random_generator(self, purpose: str, *time: int) -> torch.Generator:
        """Return a generator for one purpose at one time (an epoch or a period), the same in all processes.

        Draw with `device="cpu"`, where it is, and a `dtype`: the defaults may be others.
        """
        key = f"{self.seed}:{purpose}:{time}".encode()
        seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 1
        return torch.Generator(device="cpu").manual_seed(seed)

    def random_order(self, length: int, purpose: str, *time: int) -> Tensor:
        """Return the numbers from 0 to `length - 1` in random order, (length,) int32 on the CPU."""
        generator = self.random_generator(purpose, *time)
        return torch.randperm(length, generator=generator, dtype=torch.int32, device="cpu")

    def random_subset(self, purpose: str, *time: int) -> Tensor:
        """Return `num_kept` indices drawn uniformly without replacement, (num_kept,) int32."""
        return self.random_order(self.num_samples, purpose, *time)[: self.num_kept].clone()

    # Internals -----------------------------------------------------------------------------------------------------

    def _train_on(self, index: Tensor, losses: Tensor) -> Tensor:
        share = self._num_selected(self.epoch) // world_size()
        if self._num_trained + self.shard * len(index) > share:  # where a loader makes shards, it may fill up the last
            self._usage.warn_once(
                "repeated",
                f"more samples of epoch {self.epoch} were trained on than it has: either set_epoch() was not called,"
                " which belongs at the start of each epoch, or the DataLoader does not have this sampler as `sampler=`",
                stacklevel=4,
            )
        self._usage.count_batch(index)
        self._is_just_loaded = False
        if not self.rescale or self._uses_all(self.epoch):
            return losses.mean()
        if self._weights is None:
            self._select()
        assert self._weights is not None  # the epoch is pruned and `rescale` is True
        with torch.inference_mode(False):
            self._weights = self._weights.to(losses.device, non_blocking=True)
        return (self._weights[index].to(losses.dtype) * losses).mean()

    @lasting
    def _record(self, index: Tensor, scores: Tensor, losses: Tensor | None = None) -> None:
        scores, usable = scores.detach(), torch.isfinite(scores)
        # a sample that is ignored has no score, and a loss of 0
        self._usage.count_scores(usable if losses is None else torch.isfinite(losses))
        for name, tensor in self.memory.items():
            self.memory[name] = tensor.to(scores.device)
        self._recorded = self._recorded.to(scores.device).index_fill_(0, index, True)
        self.record(index, *highest_of_repeated(index, scores.float().clamp(-MAX_SCORE, MAX_SCORE), usable))
        self._is_just_loaded = False

    def _count_passes(self, savings: Savings) -> None:
        if self._num_trained:
            savings.count(self._num_trained * world_size(), self._subset)

    @property
    def _subset(self) -> Tensor:
        if self._selected is None:
            self._select()
        assert self._selected is not None
        return self._selected

    @lasting
    def _select(self) -> None:
        """Set the subset of `epoch`, int32 on the CPU, and its loss weights, (N,), or None if all are 1."""
        weights = None
        if self._uses_all(self.epoch):
            selected = torch.arange(self.num_samples, dtype=torch.int32, device="cpu")
        else:
            selected = self.select().to("cpu", torch.int32)
            least = self.num_kept if self.has_fixed_length else 1
            if not least <= len(selected) <= self.num_kept:
                raise RuntimeError(
                    f"{type(self).__name__}.select returned {len(selected)} samples, not {self.num_kept}"
                )
            if self.rescale:
                inverse = 1 / self.keep_probability().double()
                # without a fixed length, the sum over the epoch is to be that over all samples, as in the sources
                inverse = inverse / inverse.mean() if self.has_fixed_length else inverse
                weights = torch.zeros(self.num_samples, dtype=torch.float32, device="cpu")
                weights[selected.long()] = inverse.to(weights.dtype)
        if world_size() > 1:
            # shards are slices of the subset, and the remainder belongs to none: neither may follow the order of the
            # data set, which is often sorted by class
            selected = selected[self.random_order(len(selected), "shares", self.period_number)]
        self._selected, self._weights = selected, weights

    def _checked(self, name: str, index: Tensor, values: Tensor) -> Tensor:
        """Return the checked positions of a batch, int64 on the device of its losses or scores."""
        check_batch(name, index, values)
        check_index_range(index, self.num_samples)
        return index.to(values.device, torch.int64, non_blocking=True)
