"""Progressive data dropout: what is classified with confidence is left out."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore


@dataclass(eq=False)
class ProgressiveDropout(LastScore):
    """A sample is left out when the probability of its label is at least `confidence`, difficulty-based progressive
    dropout in the source (arXiv:2505.22342), which trains on all the data in the last epoch: `anneal_from`. The
    probability is exp(-loss), so the sampler wants the loss for its score.

    The source computes it anew for every batch, before the pass that trains; here it is that of the last time when the
    sample was trained on, or scored (`observe`, `--rescore`): our choice, at a third less cost.

    Args:
        confidence: in (0, 1); 0.3 in the source's runs on CIFAR-10.
    """

    _: KW_ONLY
    confidence: float = 0.3
    required_score: ClassVar[str] = "loss"

    def __post_init__(self) -> None:
        self.confidence = real("confidence", self.confidence, "the probability of a learned label", "(0, 1)")
        super().__post_init__()

    def select(self) -> Tensor:
        return self.fill_epoch(self.last > -math.log(self.confidence))
