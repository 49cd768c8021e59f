"""InfoBatch: what is well learned is left out at random, and weighted so that nothing is lost on average."""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore


@dataclass(eq=False)
class InfoBatch(LastScore):
    """Samples whose last loss is below the mean are kept with probability 1 - r and weighted 1 / (1 - r), all others
    are kept (Qin et al., ICLR 2024, arXiv:2303.04947). The source trains on all the data, at weight 1, in the last
    eighth of the epochs: `anneal_from`.

    Our choice, for an epoch of `num_kept` samples: where the source's has more, it is cut there, as its own comparison
    at one cost runs fewer epochs; where it has fewer, r is as much lower. The mean is that of the scores there are.

    Args:
        r: the share of the well-learned samples that the source leaves out, in [0, 1).
    """

    _: KW_ONLY
    rescale: bool = True
    r: float = 0.5

    def __post_init__(self) -> None:
        self.r = real("r", self.r, "the share of well-learned samples left out", "[0, 1)")
        self._num_learned, self._learned_probability = 0, 1.0  # of the subset
        super().__post_init__()

    def select(self) -> Tensor:
        generator = self.generator("infobatch", self.period_number)
        last = self.last.cpu()
        is_learned = last < last[last.isfinite()].mean(dtype=torch.float64)
        learned, others = is_learned.nonzero().squeeze(1), (~is_learned).nonzero().squeeze(1)
        num_learned = max(round((1 - self.r) * len(learned)), self.num_kept - len(others))
        drawn = learned[torch.randperm(len(learned), generator=generator)[:num_learned]]
        epoch = torch.randperm(len(others) + num_learned, generator=generator)[: self.num_kept]
        kept_others = epoch[epoch < len(others)]
        kept_learned = epoch[epoch >= len(others)] - len(others)
        self._num_learned = len(kept_learned)
        self._learned_probability = num_learned / max(1, len(learned))
        return torch.cat([others[kept_others], drawn[kept_learned]])

    def keep_probability(self) -> Tensor:
        """In an epoch of the source, 1 or 1 - r. Where that is cut, both are smaller by one factor: dividing by it as
        well would change nothing but the learning rate."""
        probability = torch.ones(self.num_kept)
        probability[self.num_kept - self._num_learned :] = self._learned_probability
        return probability
