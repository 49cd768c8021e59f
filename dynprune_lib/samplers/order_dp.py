"""OrderDP: the samples with the highest losses among a random part of all."""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.selection import topk_random_ties


@dataclass(eq=False)
class OrderDP(LastScore):
    """Sampler that draws some of the samples uniformly and keeps those of them with the highest last losses
    (Jin et al. 2026).

    It prefers samples with wrong labels, since their losses are the highest; notebook 10 shows what this costs.

    Every sample can be kept in every epoch, in contrast to a selection from all samples. There are no weights and no
    annealing.

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

    _: KW_ONLY
    at_random: float = 0.7

    def __post_init__(self) -> None:
        self.at_random = real("at_random", self.at_random, "the fraction of random skips", "[0, 1]")
        super().__post_init__()

    def select(self) -> Tensor:
        num_drawn = self.num_samples - round(self.at_random * (self.num_samples - self.num_kept))
        drawn = torch.randperm(self.num_samples, generator=self.random_generator("draw", self.period_number))[
            :num_drawn
        ]
        generator = self.random_generator("ties", self.period_number)
        return drawn[topk_random_ties(self.last.cpu()[drawn], self.num_kept, generator)]
