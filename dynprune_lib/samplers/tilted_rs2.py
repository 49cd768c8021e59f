"""Tilted RS2, a rule of our own: every sample comes again, the harder the sooner."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.selection import topk_random_ties

REFERENCES = 4_096  # ranks are among so many samples, or all


@dataclass(eq=False)
class TiltedRS2(LastScore):
    """RS2 whose hard samples come round sooner (ours): the k samples with the highest `waited + tilt * rank`.

    `waited` is the time since a sample's last score, in passes over the data, of 1 / (1 - prune_rate) epochs each;
    `rank` is the share of the samples with lower last scores, in [0, 1). So the first pass is RS2's, at any rate. After
    it, as long as ranks stay, the hardest sample comes exp(tilt) times as often as the easiest, and none waits for
    longer than tilt / (1 - exp(-tilt)) passes, where a bandit may never return to a sample that it found easy.

    Args:
        tilt: how many passes the hardest sample comes before its turn, at least 0; at 0 no score enters.
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = LastScore.per_sample_range | {
        "scored": (-1, torch.inf)
    }

    _: KW_ONLY
    tilt: float = 1.0

    def __post_init__(self) -> None:
        self.tilt = real("tilt", self.tilt, "the number of passes that the hardest sample comes early", "[0, 1e38]")
        super().__post_init__()
        self.scored = torch.full((self.num_samples,), -1, dtype=torch.int32)  # the epoch of the last score

    def per_sample_state(self) -> dict[str, Tensor]:
        return super().per_sample_state() | {"scored": self.scored}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        super().record(index, scores, usable)
        self.scored.index_copy_(0, index, self.scored.index_select(0, index).masked_fill_(usable, self.epoch))

    def select(self) -> Tensor:
        last = self.last.cpu()
        references = last[torch.randperm(len(last), generator=self.generator("references", self.epoch))[:REFERENCES]]
        rank = torch.searchsorted(references.sort().values, last, out_int32=True) / len(references)
        waited = (self.epoch - self.scored.cpu()) * (self.num_kept / self.num_samples)
        return topk_random_ties(waited + self.tilt * rank, self.num_kept, self.generator("ties", self.epoch))
