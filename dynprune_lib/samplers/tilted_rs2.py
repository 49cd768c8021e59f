"""Tilted RS2, a method of this library: every sample comes round, hard ones earlier."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.selection import topk_random_ties

MAX_REFERENCES = 4_096  # scores that ranks are computed against: a sample of all, so that no sort over N is needed


@dataclass(eq=False)
class TiltedRS2(LastScore):
    """Sampler that keeps the samples not seen for longest, hard ones earlier; a variant of RS2 by this library.

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    It keeps the `num_kept` samples with the highest `waited + tilt * rank`. `waited` is the time since the last score
    of a sample, in passes over the data (one pass takes 1 / (1 - prune_rate) epochs). `rank` is the fraction of the
    samples with lower last scores, in [0, 1).

    The first pass is that of RS2 at any prune rate. After it, if ranks do not change, the hardest sample is kept
    exp(tilt) times as often as the easiest, and no sample waits for longer than tilt / (1 - exp(-tilt)) passes. A
    bandit, in contrast, may never return to a sample that it found easy.

    Args:
        tilt: number of passes by which the hardest sample comes early, in [0, 1e38]; at 0, scores have no influence.
            Default: 1.

    Example:
        >>> sampler = TiltedRS2(4, prune_rate=0.75, tilt=1.0)
        >>> losses, used = torch.tensor([0.1, 0.2, 0.3, 2.0]), []
        >>> for epoch in range(16):
        ...     sampler.set_epoch(epoch)
        ...     index = sampler.indices()
        ...     loss = sampler.update(index, losses[index])
        ...     used += index.tolist()
        >>> sorted(used[:4])  # in the first pass, every sample once
        [0, 1, 2, 3]
        >>> [used.count(sample) for sample in range(4)]  # in four passes, the hard samples more often
        [3, 3, 5, 5]
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = LastScore.per_sample_range | {
        "scored": (-1, torch.inf)
    }

    _: KW_ONLY
    tilt: float = 1.0

    def __post_init__(self) -> None:
        self.tilt = real("tilt", self.tilt, "the number of passes by which the hardest sample comes early", "[0, 1e38]")
        super().__post_init__()
        self.scored: Tensor = torch.full((self.num_samples,), -1, dtype=torch.int32)  # epoch of the last score, or -1

    def per_sample_state(self) -> dict[str, Tensor]:
        return super().per_sample_state() | {"scored": self.scored}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        super().record(index, scores, usable)
        self.scored.index_copy_(0, index, self.scored.index_select(0, index).masked_fill_(usable, self.epoch))

    def select(self) -> Tensor:
        last = self.last.cpu()
        drawn = torch.randperm(len(last), generator=self.random_generator("references", self.epoch))[:MAX_REFERENCES]
        references = last[drawn].sort().values
        rank = torch.searchsorted(references, last, out_int32=True) / len(references)
        waited = (self.epoch - self.scored.cpu()) * (self.num_kept / self.num_samples)
        return topk_random_ties(waited + self.tilt * rank, self.num_kept, self.random_generator("ties", self.epoch))
