"""Cautious greedy: the hardest samples, but last those whose labels look wrong."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.bandits import Bandit
from dynprune_lib.samplers.states import FINITE


@dataclass(eq=False)
class CautiousGreedy(Bandit):
    """Sampler that keeps the samples with the smallest mean margins, but last those that the model has predicted as
    another class in most of the run; a combination by this library.

    The score of a sample is minus the margin of its label, of which a moving average is kept as by the other bandits.
    The sum of its margins over a run is the area under the margin (AUM), which is low for wrong labels (Pleiss et al.
    2020). A sample with a negative area is vetoed: it is kept only if too few others are left, the least suspicious
    first. It may have a wrong label, or may be too hard to be learned yet.

    Do not use it where classes are rare: it may drop nearly all of their samples, see notebook 10.

    Implementation choice: the threshold of the area is 0. Pleiss et al. find it by samples with an artificial class,
    and remove samples once, before a second training. There is no bonus for variance as in UCB.

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

    required_score: ClassVar[str | None] = "aum"
    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = Bandit.per_sample_range | {"area": (-FINITE, FINITE)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.area: Tensor = torch.zeros(self.num_samples, dtype=torch.float32)  # sum of all margins of a sample

    def per_sample_state(self) -> dict[str, Tensor]:
        return super().per_sample_state() | {"area": self.area}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> Tensor:
        area = self.area.index_select(0, index) - torch.where(usable, scores, 0)
        self.area.index_copy_(0, index, area.clamp(-FINITE, FINITE))
        return super().record(index, scores, usable)

    def select(self) -> Tensor:
        area = self.area.cpu()
        trusted, vetoed = (area >= 0).nonzero().squeeze(1), (area < 0).nonzero().squeeze(1)
        number = min(self.num_kept, len(trusted))
        kept = trusted[self.topk(self.bound().cpu()[trusted], number)]
        return torch.cat([kept, vetoed[self.topk(area[vetoed], self.num_kept - number)]])
