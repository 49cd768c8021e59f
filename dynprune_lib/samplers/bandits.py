"""Bandits: a moving average of every sample's scores, and a selection of the highest averages or bounds."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import setting
from dynprune_lib.samplers.sampler import PruningSampler
from dynprune_lib.samplers.selection import marks, topk_random_ties
from dynprune_lib.samplers.states import FINITE, Memory


@dataclass(eq=False)
class Bandit(PruningSampler):
    """Base class of samplers that treat every sample as an arm of a bandit and its scores as rewards.

    The exponential moving average of the scores s needs 4 bytes per sample::

        mean <- (1 - alpha) mean + alpha s

    Implementation choice: the first score of a sample starts its average (mean = s), a sample without a score has an
    infinite mean (all are tried before one is skipped twice), and ties are broken at random.

    Args:
        alpha: update rate of the moving averages, in (0, 1]; 1 keeps only the last score. Default: 0.5.
        from_zero: whether averages start from 0 (mean = alpha s after the first score), as in a public
            re-implementation. Default: False.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> sampler = Bandit(3, prune_rate=0.5, alpha=0.5)
        >>> for score in (2.0, 4.0, 1.0):
        ...     sampler.observe(torch.tensor([1]), torch.tensor([score]))
        >>> sampler.memory["mean"]
        tensor([inf, 2., inf])
    """

    remembers: ClassVar[dict[str, Memory]] = {"mean": Memory(torch.inf, low=-FINITE)}  # infinite: no score yet

    alpha: float = setting(0.5, "(0, 1]")
    from_zero: bool = setting(False)

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        """Update the means and return how far the scores were above them before, (B,) float32. First scores are above
        the 0 that averages start from, or above nothing, by 0."""
        mean = self.memory["mean"].index_select(0, index)
        start = torch.zeros_like(scores) if self.from_zero else scores
        deviation = scores - torch.where(mean == torch.inf, start, mean)
        # s - (1 - alpha) (s - mean): unlike mean + alpha (s - mean), this stays s when the mean is infinite
        new_mean = torch.add(scores, deviation, alpha=self.alpha - 1)
        self.memory["mean"].index_copy_(0, index, torch.where(usable, new_mean, mean))
        return deviation

    def select(self) -> Tensor:
        return self.topk(self.bound(), self.num_kept)

    def bound(self) -> Tensor:
        """Return what the samples are ranked by, (N,) float32: the means, to which a subclass may add a bonus."""
        return self.memory["mean"]

    def topk(self, scores: Tensor, k: int) -> Tensor:
        """Return the indices of the k highest scores (N,), with ties broken at random: (k,) int64 on the CPU."""
        return topk_random_ties(scores, k, self.random_generator("ties", self.period_number))


@dataclass(eq=False)
class EpsilonGreedy(Bandit):
    """Sampler that keeps the samples with the highest mean scores, and a fraction `epsilon` of random other samples
    (Raju et al. 2021).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    Of the k = `num_kept` samples, (1 - epsilon) k have the highest means and epsilon k are drawn uniformly from the
    rest. If the rest has fewer than epsilon k samples, it is kept entirely and more of the highest are added.

    Args:
        epsilon: fraction of the kept samples that is drawn at random, in [0, 1]. Default: 0.1.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> sampler = EpsilonGreedy(10, prune_rate=0.6, epsilon=0.5)
        >>> sampler.observe(torch.arange(10), torch.arange(10.0))
        >>> sampler.set_epoch(1)
        >>> kept = set(sampler)  # the two highest, and two of the others
        >>> len(kept), kept >= {8, 9}
        (4, True)
    """

    name: ClassVar[str] = "epsilon-greedy"
    epsilon: float = setting(0.1, "[0, 1]")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rescale and self.num_explored == 0 and self.num_kept < self.num_samples:
            raise ValueError("rescale is True: with epsilon 0, samples with lower scores are kept with probability 0")

    @property
    def num_explored(self) -> int:
        """Number of the kept samples that are drawn at random."""
        return min(round(self.epsilon * self.num_kept), self.num_samples - self.num_kept)

    def select(self) -> Tensor:
        greedy = self.topk(self.bound(), self.num_kept - self.num_explored)
        rest = (~marks(self.num_samples, greedy)).nonzero().squeeze(1)
        order = self.random_order(len(rest), "explore", self.period_number)
        return torch.cat([greedy, rest[order[: self.num_explored]]])

    def keep_probability(self) -> Tensor:
        """Return 1 for the samples with the highest means, and the drawn fraction of the rest for the others."""
        num_greedy = self.num_kept - self.num_explored
        probability = torch.ones(self.num_kept, dtype=torch.float32, device="cpu")
        probability[num_greedy:] = self.num_explored / max(1, self.num_samples - num_greedy)  # at rate 0, none is left
        return probability


@dataclass(eq=False)
class UCB(Bandit):
    """Sampler that keeps the samples with the highest upper confidence bounds `mean + c * var` of their scores
    (Raju et al. 2021).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    The exponential moving average of the squared deviations from the mean needs 4 bytes per sample more than the mean::

        var <- (1 - alpha) var + alpha (s - mean_before)^2

    Implementation choice: the bound is that of independent re-implementations, and `var` is 0 after the first score.

    Args:
        c: weight of the variance, in [0, 1e38]. Default: 1.
        std_bonus: whether to use the standard deviation, `mean + c * sqrt(var)`. Default: False.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> sampler, greedy = UCB(4, prune_rate=0.5), UCB(4, prune_rate=0.5, c=0.0)
        >>> for each in (sampler, greedy):
        ...     each.observe(torch.arange(4), torch.tensor([0.9, 0.5, 0.1, 0.0]))
        ...     each.observe(torch.arange(4), torch.tensor([0.9, 0.5, 0.1, 0.8]))
        ...     each.set_epoch(1)
        >>> greedy.subset().tolist()  # by the means 0.9, 0.5, 0.1 and 0.4
        [0, 1]
        >>> sampler.subset().tolist()  # sample 3 has 0.4 + 0.32, because its loss changed
        [0, 3]
    """

    name: ClassVar[str] = "ucb"
    remembers: ClassVar[dict[str, Memory]] = Bandit.remembers | {"var": Memory(0.0, low=0, high=FINITE)}
    former_names: ClassVar[dict[str, str]] = {"root": "std_bonus"}

    c: float = setting(1.0, "[0, 1e38]")
    std_bonus: bool = setting(False)

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        deviation = super().record(index, scores, usable)
        var = self.memory["var"].index_select(0, index)
        new_var = var.lerp(deviation * deviation, self.alpha)
        self.memory["var"].index_copy_(0, index, torch.where(usable, new_var, var))
        return deviation

    def bound(self) -> Tensor:
        var = self.memory["var"]
        spread = self.c * (var.sqrt() if self.std_bonus else var)
        # an infinite spread would equal the infinite mean of samples without a score, which come first
        return super().bound() + spread.clamp(max=FINITE)


@dataclass(eq=False)
class UCB1(Bandit):
    """Sampler that keeps the samples with the highest upper confidence bounds `mean + c * sqrt(ln(t) / n)`, which count
    how often a sample was scored (Auer et al. 2002).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    n is the number of scores of the sample, which needs 4 bytes per sample more than the mean, and t the number of
    epochs so far. The bonus grows while a sample is skipped, so no sample is skipped forever.

    Implementation choice: the mean is a moving average, because losses fall in the course of a run; UCB1 itself has
    the mean of all rewards, and c = sqrt(2), for rewards in [0, 1].

    Args:
        c: weight of the bonus, in [0, 1e38]. Default: 1.

    References:
        Auer, Cesa-Bianchi and Fischer 2002, "Finite-time Analysis of the Multiarmed Bandit Problem", Machine Learning
        47.

    Example:
        >>> sampler = UCB1(3, prune_rate=0.6)
        >>> for samples in ([0, 1, 2], [0, 1], [0, 1]):
        ...     sampler.observe(torch.tensor(samples), torch.tensor([0.9, 0.8, 0.7])[: len(samples)])
        >>> sampler.set_epoch(3)
        >>> list(sampler)  # sample 2 has the lowest mean, but only one score
        [2]
    """

    name: ClassVar[str] = "ucb1"
    remembers: ClassVar[dict[str, Memory]] = Bandit.remembers | {"count": Memory(0, torch.int32, low=0)}

    c: float = setting(1.0, "[0, 1e38]")

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        # not index_add_: a sample that is in the batch several times counts once, as its highest score does
        count = self.memory["count"]
        count.index_copy_(0, index, count.index_select(0, index) + usable.int())
        return super().record(index, scores, usable)

    def bound(self) -> Tensor:
        count = self.memory["count"].clamp(min=1).float()
        bonus = self.c * (math.log(max(1, self.epoch)) / count).sqrt()
        # an infinite bonus would equal the infinite mean of samples without a score, which come first
        return super().bound() + bonus.clamp(max=FINITE)


@dataclass(eq=False)
class EpsilonUCB(EpsilonGreedy, UCB):
    """Sampler that keeps the samples with the highest upper confidence bounds, and a fraction `epsilon` of random other
    samples.

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    The bounds are those of `UCB`, the draw is that of `EpsilonGreedy`, as in a public re-implementation of both.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> sampler = EpsilonUCB(10, prune_rate=0.6, epsilon=0.5)
        >>> sampler.observe(torch.arange(10), torch.arange(10.0))
        >>> sampler.observe(torch.tensor([0]), torch.tensor([8.0]))  # its bound is 4 + 32: its loss has changed
        >>> sampler.set_epoch(1)
        >>> kept = set(sampler)  # the two highest bounds, and two of the others
        >>> len(kept), kept >= {0, 9}
        (4, True)
    """

    name: ClassVar[str] = "epsilon-ucb"


@dataclass(eq=False)
class CautiousGreedy(Bandit):
    """Sampler that keeps the samples with the smallest mean margins, but last those that the model has predicted as
    another class in most of the run; a combination by this library.

    The score of a sample is minus the margin of its label, with a moving average as in the other bandits.
    The sum of its margins over a run is the area under the margin (AUM), which is low for wrong labels (Pleiss et al.
    2020). A sample with a negative area is vetoed: it is kept only if too few others are left, the least suspicious
    first. It may have a wrong label, or may be too hard to be learned yet.

    Do not use it where classes are rare: it may drop nearly all of their samples, see notebook 10.

    Implementation choice: the threshold of the area is 0. Pleiss et al. find it by samples with an artificial class,
    and remove samples once, before a second training.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.
        Pleiss et al., NeurIPS 2020, "Identifying Mislabeled Data using the Area Under the Margin Ranking",
        arXiv:2001.10528.

    Example:
        >>> sampler = CautiousGreedy(4, prune_rate=0.5)
        >>> sampler.observe(torch.arange(4), torch.tensor([-3.0, -1.0, -0.5, 2.0]))  # sample 3 looks like another class
        >>> sampler.set_epoch(1)
        >>> sampler.subset().tolist()
        [1, 2]
    """

    name: ClassVar[str] = "cautious-greedy"
    required_score: ClassVar[str | None] = "aum"
    remembers: ClassVar[dict[str, Memory]] = Bandit.remembers | {"area": Memory(0.0, low=-FINITE, high=FINITE)}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        area = self.memory["area"].index_select(0, index) - torch.where(usable, scores, 0)  # sum of all margins
        self.memory["area"].index_copy_(0, index, area.clamp(-FINITE, FINITE))
        return super().record(index, scores, usable)

    def select(self) -> Tensor:
        area = self.memory["area"].cpu()
        trusted, vetoed = (area >= 0).nonzero().squeeze(1), (area < 0).nonzero().squeeze(1)
        number = min(self.num_kept, len(trusted))
        kept = trusted[self.topk(self.bound().cpu()[trusted], number)]
        return torch.cat([kept, vetoed[self.topk(area[vetoed], self.num_kept - number)]])


@dataclass(eq=False)
class Proportional(Bandit):
    """Sampler that draws samples one after the other, without replacement, each in proportion to its mean score.

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    Every sample with a score above 0 can be kept in every epoch. This is importance sampling (Katharopoulos and Fleuret
    2018) of whole epochs, by the losses that training computes anyway and without its weights.

    Implementation choice: the draw uses random keys (Efraimidis and Spirakis 2006), which need one pass over the means.

    References:
        Katharopoulos and Fleuret, ICML 2018, "Not All Samples Are Created Equal: Deep Learning with Importance
        Sampling", arXiv:1803.00942.
        Efraimidis and Spirakis 2006, "Weighted Random Sampling with a Reservoir", Information Processing Letters 97(5).

    Example:
        >>> sampler = Proportional(4, prune_rate=0.75)
        >>> sampler.observe(torch.arange(4), torch.tensor([0.0, 1.0, 2.0, 5.0]))
        >>> drawn = []
        >>> for epoch in range(1, 1001):
        ...     sampler.set_epoch(epoch)
        ...     drawn += sampler.indices().tolist()
        >>> [drawn.count(sample) for sample in range(4)]  # about 0, 125, 250 and 625
        [0, 130, 252, 618]
    """

    name: ClassVar[str] = "proportional"

    def select(self) -> Tensor:
        generator = self.random_generator("draw", self.period_number)
        uniform = torch.rand(self.num_samples, generator=generator, dtype=torch.float32, device="cpu")
        # the samples with the highest keys are the first to be drawn
        keys = self.memory["mean"].cpu().clamp(min=0).log() - (-uniform.log()).log()
        return self.topk(keys, self.num_kept)
