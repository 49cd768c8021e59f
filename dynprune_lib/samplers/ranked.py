"""Samplers that use the last score of every sample, and keep as many as the prune rate says."""

import math
from dataclasses import KW_ONLY, InitVar, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import setting
from dynprune_lib.samplers.sampler import PruningSampler
from dynprune_lib.samplers.selection import none_of, topk_random_ties
from dynprune_lib.samplers.states import FINITE, Memory

LEAST_LOSS = 1e-6  # of a sample in RCAP, so that every class has a share


@dataclass(eq=False)
class LastScore(PruningSampler):
    """Base class of samplers that remember the last score of every sample, 4 bytes; infinite if there is none.

    Samples without a score are always preferred.

    Example:
        >>> sampler = LastScore(4, prune_rate=0.5)
        >>> sampler.observe(torch.tensor([0, 2]), torch.tensor([0.3, 0.7]))
        >>> sampler.memory["last"]
        tensor([0.3000,    inf, 0.7000,    inf])
    """

    remembers: ClassVar[dict[str, Memory]] = {"last": Memory(torch.inf, low=-FINITE)}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        last = self.memory["last"]
        last.index_copy_(0, index, torch.where(usable, scores, last.index_select(0, index)))

    def select(self) -> Tensor:
        return self.highest()

    def highest(self) -> Tensor:
        """Return the `num_kept` samples with the highest last scores, with ties broken at random: (num_kept,) int64."""
        generator = self.random_generator("ties", self.period_number)
        return topk_random_ties(self.memory["last"], self.num_kept, generator)


@dataclass(eq=False)
class DynamicEL2N(LastScore):
    """Sampler that keeps the samples with the highest last EL2N scores (Attendu and Corbeil 2023).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    The paper trains on all samples in the first epochs (`warm_up`), then keeps the top samples and re-scores the whole
    data set every period. The training loop re-scores by calling `observe` (`--rescore` on the command line).

    References:
        Attendu and Corbeil 2023, "NLU on Data Diets: Dynamic Data Subset Selection for NLP Classification Tasks",
        arXiv:2306.03208.

    Example:
        >>> import torch
        >>> from dynprune_lib.scores import el2n
        >>> sampler = DynamicEL2N(3, prune_rate=0.6)
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
        >>> sampler.observe(torch.arange(3), el2n(logits, labels=torch.tensor([0, 0, 0])))
        >>> sampler.set_epoch(1)
        >>> list(sampler)  # sample 1 is misclassified
        [1]
    """

    name: ClassVar[str] = "dynamic-el2n"
    required_score: ClassVar[str | None] = "el2n"


@dataclass(eq=False)
class MolPeg(LastScore):
    """Sampler that keeps the samples with the highest absolute differences between the loss of the model and that of an
    exponential moving average of its weights (Chen et al. 2024).

    The reference model needs a second forward pass in every step. The paper trains on all samples in the last eighth of
    the epochs (`anneal_from`), and is about molecules and models that were trained before.

    Args:
        decay: decay per step of the reference model's weights, in [0, 1), for the training loop; the sampler itself
            only gets the differences, see `dynprune_lib.scores.loss_difference`. Default: 0.5.

    References:
        Chen et al., NeurIPS 2024, "Beyond Efficiency: Molecular Data Pruning for Enhanced Generalization",
        arXiv:2409.01081, and the code of the authors. Decay and annealing are as described by others; source not seen.

    Example:
        >>> from dynprune_lib.scores import loss_difference
        >>> sampler, labels = MolPeg(3, prune_rate=0.6), torch.tensor([0, 0, 0])
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
        >>> reference = torch.tensor([[4.0, 0.0], [0.0, 4.0], [2.0, 0.0]])
        >>> sampler.observe(torch.arange(3), loss_difference(logits, labels, reference))
        >>> sampler.set_epoch(1)
        >>> list(sampler)  # sample 1 is misclassified by both, sample 2 was just forgotten
        [2]
    """

    name: ClassVar[str] = "molpeg"
    required_score: ClassVar[str | None] = "loss-difference"

    decay: float = setting(0.5, "[0, 1)")


@dataclass(eq=False)
class OrderDP(LastScore):
    """Sampler that draws some of the samples uniformly and keeps those of them with the highest last losses
    (Jin et al. 2026).

    It prefers samples with wrong labels, since their losses are the highest; notebook 10 shows what this costs.

    Implementation choice: the authors set the size s of the draw and the fraction q / s of it that is kept, for every
    prune rate anew. Here, one setting says how the skipped samples are divided between the two steps. Its default is
    close to what the authors' code has at several rates, such as s = 0.5 N and q = 0.6 s at 70 %.

    Args:
        at_random: fraction of the skipped samples that the draw skips, in [0, 1]; at 0, the samples with the highest
            losses of all are kept, at 1 a random subset. Default: 0.7.

    References:
        Jin et al., ICLR 2026, "OrderDP: A Theoretically Guaranteed Lossless Dynamic Data Pruning Framework",
        arXiv:2606.08574, and the code of the authors.

    Example:
        >>> sampler = OrderDP(10, prune_rate=0.5, at_random=0.4)  # skips 2 at random, then the lowest 3 of 8
        >>> sampler.observe(torch.arange(10), torch.arange(10.0))
        >>> sampler.set_epoch(1)
        >>> kept = sampler.subset().tolist()  # three of the drawn samples have lower losses than these
        >>> len(kept), min(kept) >= 3
        (5, True)
    """

    name: ClassVar[str] = "order-dp"
    at_random: float = setting(0.7, "[0, 1]")

    def select(self) -> Tensor:
        num_drawn = self.num_samples - round(self.at_random * (self.num_samples - self.num_kept))
        drawn = self.random_order(self.num_samples, "draw", self.period_number)[:num_drawn]
        generator = self.random_generator("ties", self.period_number)
        return drawn[topk_random_ties(self.memory["last"].cpu()[drawn], self.num_kept, generator)]


@dataclass(eq=False)
class RCAP(LastScore):
    """Sampler that gives every class a share of the epoch by its loss, and draws the samples of a class with
    probabilities that grow with theirs; it needs `labels` (Hassan et al. 2025).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    The share of a class is proportional to sqrt(mean loss of the class x fraction of the samples in the class). A class
    with fewer samples than its share is kept whole. Within a class, samples are drawn without replacement with
    probabilities proportional to exp(loss / beta). Losses are clipped to ln(classes), that of a guess, which keeps
    outliers from dominating; samples without a loss count as guessed.

    Implementation choice: the mean loss of a class is over all its samples, by their last losses. The text of the paper
    was not seen; the authors' code sums the probabilities of the class's last subset in its place.

    Args:
        beta: temperature of the draw, in (0, 1e38]; lower values prefer high losses more. Default: 1. The authors
            recommend values from 1/3 to 3.
        labels: (N,) of an integer type, the class of every sample. Required.

    Raises:
        ValueError: if `labels` is missing or is not a tensor of integers of shape (N,).

    References:
        Hassan, Khare and Paik, UAI 2025, "RCAP: Robust, Class-Aware, Probabilistic Dynamic Dataset Pruning",
        arXiv:2606.11761, and the authors' package DataCull.

    Example:
        >>> labels = torch.tensor([0] * 8 + [1] * 2)
        >>> sampler = RCAP(10, prune_rate=0.6, labels=labels)
        >>> sampler.observe(torch.arange(10), torch.tensor([0.05] * 8 + [0.4] * 2))  # class losses 0.05 and 0.4
        >>> sampler.set_epoch(1)
        >>> labels[sampler.subset()].tolist()  # shares sqrt(0.05 x 0.8) and sqrt(0.4 x 0.2): 4 in the ratio 1 to 1.4
        [0, 0, 1, 1]
    """

    name: ClassVar[str] = "rcap"
    beta: float = setting(1.0, "(0, 1e38]")
    _: KW_ONLY
    labels: InitVar[Tensor | None] = None

    def __post_init__(self, labels: Tensor | None) -> None:
        super().__post_init__()
        is_integer = isinstance(labels, Tensor) and not labels.is_floating_point() and not labels.is_complex()
        if labels is None or not is_integer or labels.shape != (self.num_samples,):
            raise ValueError(f"RCAP has a share for every class: pass labels, a tensor of {self.num_samples} integers")
        classes = labels.cpu().unique(return_inverse=True)[1]
        self._classes: Tensor = classes.to(torch.int32)  # 0, 1, ... without gaps
        self._sizes: Tensor = classes.bincount()

    def select(self) -> Tensor:
        guess = max(LEAST_LOSS, math.log(len(self._sizes)))
        loss = self.memory["last"].cpu().double().clamp(LEAST_LOSS, guess)
        # mean loss x fraction of the samples = sum of the losses / N
        quotas = allocate(self._classes.bincount(loss).sqrt(), self._sizes, self.num_kept)
        # the highest of loss / beta + Gumbel noise are a draw without replacement, in one sort instead of k draws
        noise = torch.empty_like(loss).exponential_(generator=self.random_generator("draw", self.period_number)).log()
        order = (loss / self.beta - noise).argsort(descending=True)
        order = order[self._classes[order].argsort(stable=True)]  # by class, and by key within a class
        first = (self._sizes.cumsum(0) - self._sizes).repeat_interleave(self._sizes)
        rank = torch.arange(self.num_samples, device="cpu") - first
        return order[rank < quotas.repeat_interleave(self._sizes)]


def allocate(weights: Tensor, sizes: Tensor, total: int) -> Tensor:
    """Return how many samples each class has, in proportion to the weights where the classes are large enough.

    All tensors have the shape (classes,). The result is at most `sizes`, and its sum is `total`; it is rounded by the
    method of the largest remainder.
    """
    is_full = none_of(len(sizes))
    while True:
        left = total - sizes[is_full].sum()
        quotas = torch.where(is_full, sizes, left * weights / weights[~is_full].sum())
        too_large = quotas > sizes
        if not too_large.any():
            break
        is_full |= too_large
    whole = quotas.floor()
    missing = total - int(whole.sum())
    whole[(quotas - whole).topk(missing).indices] += 1
    return whole.long()
