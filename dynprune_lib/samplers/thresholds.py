"""Threshold rules: each sample is kept or skipped on its own, so epochs differ in length."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import setting
from dynprune_lib.samplers.clusters import BINS, cluster_cuts
from dynprune_lib.samplers.ranked import LastScore
from dynprune_lib.samplers.sampler import PruningSampler
from dynprune_lib.samplers.selection import is_repeated, marks
from dynprune_lib.samplers.states import Memory


@dataclass(eq=False)
class OwnLength(PruningSampler):
    """Base class for threshold rules: each sample is kept or skipped on its own, so epochs differ in length.

    With `fill`, every epoch has `num_kept` samples instead: methods can be compared at equal compute, and a
    learning-rate schedule knows its steps. Random samples are left out where the rule keeps more, and random others are
    added where it keeps fewer. Without `fill`, none are added, and `num_kept` is the greatest length: with a prune rate
    of 0, the rule alone decides. After `set_epoch`, `len(sampler)` is the length of the epoch; `total_steps` is an
    upper bound.

    Args:
        fill: whether every epoch has `num_kept` samples. Default: True.

    Example:
        >>> from dynprune_lib import ProgressiveDropout
        >>> lengths = []
        >>> for fill in (True, False):
        ...     sampler = ProgressiveDropout(4, prune_rate=0.25, fill=fill)
        ...     sampler.observe(torch.arange(4), torch.tensor([0.1, 3.0, 0.1, 3.0]))  # two are not learned yet
        ...     sampler.set_epoch(1)
        ...     lengths.append(len(sampler))
        >>> lengths
        [3, 2]
    """

    fill: bool = setting(True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.num_wanted: int | None = None  # by the rule in the current period, before it is cut or filled up

    @property
    def has_fixed_length(self) -> bool:
        return self.fill

    @property
    def wanted(self) -> float | None:
        return None if self.num_wanted is None else self.num_wanted / self.num_samples

    def take(self, preferred: Tensor) -> Tensor:
        """Return the samples of an epoch.

        Args:
            preferred: (N,) bool, the samples that the rule keeps. If there are more than `num_kept` of them, they are
                drawn uniformly; if fewer, all are kept, and with `fill` the rest is drawn uniformly from the others.

        Returns:
            (num_kept,) int64, indices of the samples; without `fill`, fewer, but at least one.

        Example:
            >>> sampler = OwnLength(4, prune_rate=0.5)
            >>> sorted(sampler.take(torch.tensor([False, True, False, True])).tolist())
            [1, 3]
        """
        order = self.random_order(self.num_samples, "fill_epoch", self.period_number)
        comes_first = preferred.cpu()[order]
        self.num_wanted = int(comes_first.sum())
        length = self.num_kept if self.fill else min(self.num_kept, max(1, self.num_wanted))
        return torch.cat([order[comes_first], order[~comes_first]])[:length]


@dataclass(eq=False)
class InfoBatch(OwnLength, LastScore):
    """Sampler that keeps each sample with a loss below the mean with probability 1 - r, and weights its loss by
    1 / (1 - r) relative to the others (Qin et al. 2024).

    It prefers samples with wrong labels, since their losses are the highest; notebook 10 shows what this costs.

    Samples with a loss of at least the mean are all kept. The paper trains on all samples in the last eighth of the
    epochs (`anneal_from`).

    Implementation choice: every epoch has `num_kept` samples. If the epoch of the paper has more, a random part of it
    is kept; if it has fewer, r is lowered. The mean is over the samples that have a loss. The paper's weights are
    1 / (1 - r) and 1, which also raises the learning rate; here, their mean over the epoch is 1.

    Args:
        r: fraction of the samples with a loss below the mean that is skipped, in [0, 1). Default: 0.5.

    References:
        Qin et al., ICLR 2024, "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning",
        arXiv:2303.04947.

    Example:
        >>> sampler = InfoBatch(6, prune_rate=1 / 3, r=0.5)
        >>> sampler.observe(torch.arange(6), torch.tensor([0.1, 0.1, 0.1, 0.1, 0.9, 0.9]))
        >>> sampler.set_epoch(1)
        >>> kept = sampler.subset()  # two of the samples 0 to 3, and all others
        >>> [round(sampler.mean_loss(sample, torch.ones(1)).item(), 3) for sample in kept.split(1)]
        [1.333, 1.333, 0.667, 0.667]
    """

    name: ClassVar[str] = "infobatch"
    rescale: bool = setting(True)
    r: float = setting(0.5, "[0, 1)")

    def select(self) -> Tensor:
        generator = self.random_generator("infobatch", self.period_number)
        last = self.memory["last"].cpu()
        is_learned = last < last[last.isfinite()].mean(dtype=torch.float64)
        learned, others = is_learned.nonzero().squeeze(1), (~is_learned).nonzero().squeeze(1)
        num_learned = round((1 - self.r) * len(learned))
        self.num_wanted = len(others) + num_learned
        if self.fill:
            num_learned = max(num_learned, self.num_kept - len(others))
        drawn = learned[torch.randperm(len(learned), generator=generator, device="cpu")[:num_learned]]
        epoch = torch.randperm(len(others) + num_learned, generator=generator, device="cpu")[: self.num_kept]
        kept_others = epoch[epoch < len(others)]
        kept_learned = epoch[epoch >= len(others)] - len(others)
        self._num_learned, self._num_others = len(kept_learned), len(kept_others)
        self._learned_probability = num_learned / max(1, len(learned))
        return torch.cat([others[kept_others], drawn[kept_learned]])

    def keep_probability(self) -> Tensor:
        """Return 1 or 1 - r, the probabilities in an epoch of the paper.

        If only a part of that epoch is kept, all probabilities are smaller by the same factor, which is left out.
        """
        others = torch.ones(self._num_others, dtype=torch.float32, device="cpu")
        learned = torch.full((self._num_learned,), self._learned_probability, dtype=torch.float32, device="cpu")
        return torch.cat([others, learned])


@dataclass(eq=False)
class SeTa(OwnLength, LastScore):
    """Fixed-length variant of SeTa (Zhou et al. 2025): it groups the samples by loss and draws them from a window of
    groups that slides from easy to hard.

    The groups are clusters in the sense of k-means. The window moves on by one group every period and restarts at the
    easiest group after it has reached the hardest. The authors keep uniform random subsets in the last eighth of the
    epochs (`random_from`).

    Implementation choice: every epoch has `num_kept` samples. The authors draw a random fraction of the samples,
    cluster it and train on all samples of the window, so their epochs are long while it includes the easy group. Here,
    all samples are clustered, and `num_kept` are drawn at random from a large window, or with random others if the
    window is too small. Samples without a score are in every window.

    Args:
        groups: number of clusters, from 1 to 1024. Default: 5, as in the paper on CIFAR.
        window: fraction of the groups in the window, in (0, 1]. Default: 0.9, as in the paper on CIFAR.
        random_from: first epoch with uniform random subsets, at least 0; None for no such epochs. Default: None.

    References:
        Zhou, Gao and Wang, CVPR 2025, "Scale Efficient Training for Large Datasets", arXiv:2503.13385, and the code of
        the authors.

    Example:
        >>> sampler = SeTa(6, prune_rate=2 / 3, groups=3, window=1 / 3)
        >>> sampler.observe(torch.arange(6), torch.tensor([0.1, 0.11, 0.5, 0.51, 0.9, 0.91]))
        >>> for epoch in range(1, 5):
        ...     sampler.set_epoch(epoch)
        ...     print(sampler.subset().tolist())
        [2, 3]
        [4, 5]
        [0, 1]
        [2, 3]
    """

    name: ClassVar[str] = "seta"
    groups: int = setting(5, f"[1, {BINS}]")
    window: float = setting(0.9, "(0, 1]")
    random_from: int | None = setting(None, "[0, inf)")

    def select(self) -> Tensor:
        last = self.memory["last"].cpu()
        drawn = torch.ones_like(last, dtype=torch.bool)
        if not self.fill:  # the window is taken from a random part of the data
            drawn = marks(self.num_samples, self.random_subset("drawn", self.period_number))
        has_score = last.isfinite()
        if not (drawn & has_score).any() or (self.random_from is not None and self.epoch >= self.random_from):
            self.num_wanted = None  # there is no rule in this epoch
            return self.random_subset("random", self.period_number)
        cuts = cluster_cuts(last[drawn & has_score].numpy(), self.groups)
        size = max(1, round(self.window * self.groups))
        begin = self.period_number % (self.groups - size + 1)
        group = torch.bucketize(last, torch.from_numpy(cuts))
        return self.take(drawn & (((group >= begin) & (group < begin + size)) | ~has_score))


@dataclass(eq=False)
class InstanceEarlyStopping(OwnLength, LastScore):
    """Fixed-length variant of instance-dependent early stopping (Yuan et al. 2025): it skips the samples whose loss has
    a second difference below `threshold`, as already mastered.

    The second difference of the last three losses is `|L(t) - 2 L(t-1) + L(t-2)|`. It needs 4 bytes per sample more
    than the last loss.

    Implementation choices: every epoch has `num_kept` samples, where the authors train on all that are not yet
    mastered. The second difference is the last one; the authors' code averages the last three, and needs six losses
    before it skips a sample. It also computes the losses of skipped samples in every epoch; here, the training loop may
    do so by calling `observe` (`--rescore` on the command line), or they are those of when it was trained on.

    Args:
        threshold: smallest second difference of a sample that is kept, in (0, 1e38]. Default: 0.001, as in the paper on
            CIFAR-10; it uses 0.002 on CIFAR-100.

    References:
        Yuan et al., ICLR 2025, "Instance-dependent Early Stopping", arXiv:2502.07547, and the code of the authors.

    Example:
        >>> sampler = InstanceEarlyStopping(3, prune_rate=0.6, threshold=0.1)
        >>> for losses in ([0.9, 0.2, 0.9], [0.8, 0.2, 0.6], [0.7, 0.2, 0.5]):
        ...     sampler.observe(torch.arange(3), torch.tensor(losses))
        >>> sampler.set_epoch(1)
        >>> list(sampler)  # sample 0 improves steadily, sample 1 is constant
        [2]
    """

    name: ClassVar[str] = "early-stopping"
    # Both differences stay infinite until a sample has enough losses, without a counter: the first difference is finite
    # minus infinite, the second one needs two finite differences.
    remembers: ClassVar[dict[str, Memory]] = LastScore.remembers | {
        "difference": Memory(torch.inf, torch.float16),
        "second": Memory(torch.inf, torch.float16, low=0),
    }

    threshold: float = setting(0.001, "(0, 1e38]")

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        last, before, second = (self.memory[name].index_select(0, index) for name in ("last", "difference", "second"))
        difference = scores - last
        new_second = (difference - before).abs()
        super().record(index, scores, usable)
        self.memory["difference"].index_copy_(0, index, torch.where(usable, difference.half(), before))
        self.memory["second"].index_copy_(0, index, torch.where(usable, new_second.half(), second))

    def select(self) -> Tensor:
        return self.take(self.memory["second"].float() >= self.threshold)


@dataclass(eq=False)
class ProgressiveDropout(OwnLength, LastScore):
    """Sampler that skips the samples whose label the model predicts with a probability of at least `confidence`
    (Shriram et al. 2025).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    This is the difficulty-based variant of the paper, which trains on all samples in the last epoch (`anneal_from`).
    The probability is exp(-loss), so the score must be the loss.

    Implementation choice: the paper computes the probability in an extra forward pass before every step. Here, it is
    from the last time that the sample was trained on or re-scored (`observe`; `--rescore` on the command line).

    Args:
        confidence: probability from which a sample is skipped, in (0, 1). Default: 0.3, as in the paper on CIFAR-10.

    References:
        Shriram et al. 2025, "Progressive Data Dropout: An Embarrassingly Simple Approach to Faster Training",
        arXiv:2505.22342.

    Example:
        >>> sampler = ProgressiveDropout(4, prune_rate=0.5, confidence=0.3)
        >>> probability = torch.tensor([0.9, 0.2, 0.6, 0.1])
        >>> sampler.observe(torch.arange(4), -probability.log())
        >>> sampler.set_epoch(1)
        >>> sampler.subset().tolist()
        [1, 3]
    """

    name: ClassVar[str] = "progressive-dropout"
    required_score: ClassVar[str | None] = "loss"

    confidence: float = setting(0.3, "(0, 1)")

    def select(self) -> Tensor:
        return self.take(self.memory["last"] > -math.log(self.confidence))


@dataclass(eq=False)
class RePB(OwnLength):
    """Sampler that leaves out, with probability r, each sample whose loss was below the mean of its batch when it was
    last trained on, and weights losses by the number of epochs over the number of times that a sample was selected
    (Zhou et al. 2026).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    In every epoch, a sample is kept with probability 1 - r if its last loss was below the mean, whether it was left out
    before or not, and else it is kept.

    Implementation choice: every epoch has `num_kept` samples, unless `fill` is False. The mean is that of the batch
    itself, the source's default of the last W batches. A weight is at most 1 / (1 - r), to which that of a sample tends
    which is always below the mean.

    Args:
        r: probability that a sample with a loss below the mean is left out, in [0, 1). Default: 0.5.

    References:
        Zhou et al., ICLR 2026, "Inconsistency Biases in Dynamic Data Pruning". The rule is as described by others; of
        the paper, only the abstract was seen, of the authors' code, only the README.

    Example:
        >>> sampler = RePB(4, prune_rate=0.0, r=0.9, fill=False)
        >>> sampler.observe(torch.arange(4), torch.tensor([0.0, 0.5, 1.0, 2.5]))
        >>> sampler.set_epoch(1)
        >>> set(sampler) >= {2, 3}  # the losses that are not below 1, their mean
        True
    """

    name: ClassVar[str] = "repb"
    # how often a sample was trained on; negative if its loss was below the mean the last time
    remembers: ClassVar[dict[str, Memory]] = {"count": Memory(0, torch.int32)}

    rescale: bool = setting(True)
    r: float = setting(0.5, "[0, 1)")

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        counted = usable & ~is_repeated(index)
        mean = torch.where(counted, scores, 0).sum() / counted.sum()
        count = self.memory["count"].index_select(0, index)
        new_count = torch.where(scores < mean, -1, 1).int() * (count.abs() + 1)
        self.memory["count"].index_copy_(0, index, torch.where(usable, new_count, count))

    def select(self) -> Tensor:
        count = self.memory["count"].cpu()
        generator = self.random_generator("repb", self.period_number)
        draw = torch.rand(self.num_samples, generator=generator, dtype=torch.float32, device="cpu")
        selected = self.take((count >= 0) | (draw >= self.r))
        if self.rescale:
            times = count[selected].abs().float()
            self._probability = torch.where(times > 0, times / max(1, self.epoch), 1).clamp(1 - self.r, 1)
        return selected

    def keep_probability(self) -> Tensor:
        """Return the share of the past epochs in which each sample was selected, at least 1 - r."""
        probability, self._probability = self._probability, torch.ones(0, device="cpu")  # only weights are kept
        return probability
