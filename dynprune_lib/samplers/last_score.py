"""What the rules that compare a sample's last score with something share: the score, and an epoch of a given size."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.states import FINITE


@dataclass(eq=False)
class LastScore(PruningSampler):
    """Remembers the last score of every sample, 4 bytes; infinite: none yet.

    Rules of this kind say of each sample whether they want it, so that the length of their epochs follows from the
    scores. Here every epoch has `num_kept` samples, so that rules can be compared at one cost and a learning-rate
    schedule knows its steps: `fill_epoch` cuts the epoch of a rule that wants more, at random, and fills up that of a
    rule that wants fewer. Samples without a score are wanted by every rule. Both are our choice.
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {"last": (-FINITE, torch.inf)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.last = torch.full((self.num_samples,), torch.inf)

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"last": self.last}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        self.last.index_copy_(0, index, torch.where(usable, scores, self.last.index_select(0, index)))

    def fill_epoch(self, wanted: Tensor) -> Tensor:
        """`num_kept` indices: of the samples that are `wanted` (N,), uniformly, and of the others where these are too
        few."""
        order = torch.randperm(self.num_samples, generator=self.generator("fill_epoch", self.period_number))
        first = wanted.cpu()[order]
        return torch.cat([order[first], order[~first]])[: self.num_kept]
