"""RePB: samples with a loss below the mean of their batch are left out at random, and weighted by how often."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.own_length import OwnLength
from dynprune_lib.samplers.selection import is_repeated


@dataclass(eq=False)
class RePB(OwnLength):
    """Sampler that leaves out, with probability r, each sample whose loss was below the mean of its batch when it was
    last trained on, and weights losses by the number of epochs over the number of times that a sample was selected
    (Zhou et al. 2026).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    In the source, a sample that was left out returns with probability 1 - r. So in every epoch, a sample is kept with
    probability 1 - r if its last loss was below the mean, whether it was left out before or not, and else it is kept.

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

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {"count": (-torch.inf, torch.inf)}

    _: KW_ONLY
    rescale: bool = True
    r: float = 0.5

    def __post_init__(self) -> None:
        self.r = real("r", self.r, "the probability of leaving out a well-learned sample", "[0, 1)")
        self._probability: Tensor = torch.ones(0)  # of the selected samples
        super().__post_init__()
        # how often a sample was trained on; negative if its loss was below the mean the last time
        self.count: Tensor = torch.zeros(self.num_samples, dtype=torch.int32)

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"count": self.count}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        counted = usable & ~is_repeated(index)
        mean = torch.where(counted, scores, 0).sum() / counted.sum()
        count = self.count.index_select(0, index)
        new_count = torch.where(scores < mean, -1, 1).int() * (count.abs() + 1)
        self.count.index_copy_(0, index, torch.where(usable, new_count, count))

    def select(self) -> Tensor:
        count = self.count.cpu()
        generator = self.random_generator("repb", self.period_number)
        draw = torch.rand(self.num_samples, generator=generator, dtype=torch.float32)
        selected = self.take((count >= 0) | (draw >= self.r))
        if self.rescale:
            times = count[selected].abs().float()
            self._probability = torch.where(times > 0, times / max(1, self.epoch), 1).clamp(1 - self.r, 1)
        return selected

    def keep_probability(self) -> Tensor:
        """Return the share of the past epochs in which each sample was selected, at least 1 - r."""
        probability, self._probability = self._probability, torch.ones(0)  # the sampler keeps the weights only
        return probability
