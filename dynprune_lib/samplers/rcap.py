"""RCAP: every class has its share of an epoch, larger for classes with a high loss, and is sampled by loss."""

import math
from dataclasses import KW_ONLY, InitVar, dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore

LEAST_LOSS = 1e-6  # of a sample, so that every class has a share


@dataclass(eq=False)
class RCAP(LastScore):
    """Sampler that gives every class a share of the epoch by its loss, and draws the samples of a class with
    probabilities that grow with theirs; it needs `labels` (Hassan et al. 2025).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    The share of a class is proportional to sqrt(mean loss of the class x fraction of the samples in the class); classes
    of which it would need more samples than there are, are kept whole. Within a class, samples are drawn without
    replacement with probabilities proportional to exp(loss / beta). Losses are clipped to ln(classes), that of a guess,
    so that outliers do not dominate; samples without a loss count as guessed.

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

    _: KW_ONLY
    beta: float = 1.0
    labels: InitVar[Tensor | None] = None

    def __post_init__(self, labels: Tensor | None) -> None:
        self.beta = real("beta", self.beta, "the temperature", "(0, 1e38]")
        super().__post_init__()
        is_integer = isinstance(labels, Tensor) and not labels.is_floating_point() and not labels.is_complex()
        if labels is None or not is_integer or labels.shape != (self.num_samples,):
            raise ValueError(f"RCAP has a share for every class: pass labels, a tensor of {self.num_samples} integers")
        classes = labels.cpu().unique(return_inverse=True)[1]
        self._classes: Tensor = classes.to(torch.int32)  # 0, 1, ... without gaps
        self._sizes: Tensor = classes.bincount()

    def select(self) -> Tensor:
        guess = max(LEAST_LOSS, math.log(len(self._sizes)))
        loss = self.last.cpu().double().clamp(LEAST_LOSS, guess)
        # mean loss x fraction of the samples = sum of the losses / N
        quotas = allocate(self._classes.bincount(loss).sqrt(), self._sizes, self.num_kept)
        # the highest of loss / beta + Gumbel noise are a draw without replacement, in one sort instead of k draws
        noise = torch.empty_like(loss).exponential_(generator=self.random_generator("draw", self.period_number)).log()
        order = (loss / self.beta - noise).argsort(descending=True)
        order = order[self._classes[order].argsort(stable=True)]  # by class, and by key within a class
        first = (self._sizes.cumsum(0) - self._sizes).repeat_interleave(self._sizes)
        rank = torch.arange(self.num_samples) - first
        return order[rank < quotas.repeat_interleave(self._sizes)]


def allocate(weights: Tensor, sizes: Tensor, total: int) -> Tensor:
    """Return how many samples each class has, in proportion to the weights where the classes are large enough.

    Args:
        weights: (classes,) float64, positive.
        sizes: (classes,) int64, number of samples of each class, at least 1.
        total: number of samples to allocate, at most the sum of the sizes.

    Returns:
        (classes,) int64, at most `sizes`, with the sum `total`; rounded by the method of the largest remainder.

    Example:
        >>> allocate(torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64), torch.tensor([9, 9, 4]), total=12).tolist()
        [4, 4, 4]
    """
    is_full = torch.zeros(len(sizes), dtype=torch.bool)
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
