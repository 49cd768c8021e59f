"""InfoBatch: samples with a low loss are skipped at random, and weights keep the expected gradient unchanged."""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.own_length import OwnLength


@dataclass(eq=False)
class InfoBatch(OwnLength, LastScore):
    """Sampler that keeps each sample with a loss below the mean with probability 1 - r, and weights its loss by
    1 / (1 - r) relative to the others (Qin et al. 2024).

    It prefers samples with wrong labels, since their losses are the highest; notebook 10 shows what this costs.

    Samples with a loss of at least the mean are all kept. The paper trains on all samples in the last eighth of the
    epochs (`anneal_from`).

    Implementation choice: every epoch has `num_kept` samples. If the epoch of the paper has more, a random part of it
    is kept, as the paper's own comparison at equal compute runs fewer epochs; if it has fewer, r is lowered. The mean
    is taken over the samples that have a loss. The paper's weights are 1 / (1 - r) and 1, which also raises the
    learning rate; here, their mean over the epoch is 1.

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

    _: KW_ONLY
    rescale: bool = True
    r: float = 0.5

    def __post_init__(self) -> None:
        self.r = real("r", self.r, "the fraction of well-learned samples left out", "[0, 1)")
        self._num_learned: int = 0  # of the selected samples
        self._num_others: int = 0
        self._learned_probability: float = 1.0
        super().__post_init__()

    def select(self) -> Tensor:
        generator = self.random_generator("infobatch", self.period_number)
        last = self.last.cpu()
        is_learned = last < last[last.isfinite()].mean(dtype=torch.float64)
        learned, others = is_learned.nonzero().squeeze(1), (~is_learned).nonzero().squeeze(1)
        num_learned = round((1 - self.r) * len(learned))
        self.num_wanted = len(others) + num_learned
        if self.fill:
            num_learned = max(num_learned, self.num_kept - len(others))
        drawn = learned[torch.randperm(len(learned), generator=generator)[:num_learned]]
        epoch = torch.randperm(len(others) + num_learned, generator=generator)[: self.num_kept]
        kept_others = epoch[epoch < len(others)]
        kept_learned = epoch[epoch >= len(others)] - len(others)
        self._num_learned, self._num_others = len(kept_learned), len(kept_others)
        self._learned_probability = num_learned / max(1, len(learned))
        return torch.cat([others[kept_others], drawn[kept_learned]])

    def keep_probability(self) -> Tensor:
        """Return 1 or 1 - r, the probabilities in an epoch of the paper.

        If only a part of that epoch is kept, all probabilities are smaller by the same factor, which is left out.
        """
        others = torch.ones(self._num_others, dtype=torch.float32)
        learned = torch.full((self._num_learned,), self._learned_probability, dtype=torch.float32)
        return torch.cat([others, learned])
