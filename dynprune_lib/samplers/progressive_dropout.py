"""Progressive data dropout: samples that are classified with confidence are skipped."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.own_length import OwnLength


@dataclass(eq=False)
class ProgressiveDropout(OwnLength, LastScore):
    """Sampler that skips the samples whose label the model predicts with a probability of at least `confidence`
    (Shriram et al. 2025).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    This is the difficulty-based variant of the paper, which trains on all samples in the last epoch (`anneal_from`).
    The probability is exp(-loss), so the score must be the loss.

    Implementation choice: the paper computes the probability in an extra forward pass before every training step. Here,
    it is from the last time that the sample was trained on or re-scored (`observe`; `--rescore` on the command line),
    which saves the extra pass.

    Args:
        confidence: probability from which a sample is skipped, in (0, 1). Default: 0.3, as in the paper on CIFAR-10.

    References:
        Shriram et al. 2025, "Progressive Data Dropout: An Embarrassingly Simple Approach to Faster Training",
        arXiv:2505.22342.

    Example:
        >>> import torch
        >>> sampler = ProgressiveDropout(4, prune_rate=0.5, confidence=0.3)
        >>> probability = torch.tensor([0.9, 0.2, 0.6, 0.1])
        >>> sampler.observe(torch.arange(4), -probability.log())
        >>> sampler.set_epoch(1)
        >>> sampler.subset().tolist()
        [1, 3]
    """

    _: KW_ONLY
    confidence: float = 0.3
    required_score: ClassVar[str | None] = "loss"

    def __post_init__(self) -> None:
        self.confidence = real("confidence", self.confidence, "the probability of a learned label", "(0, 1)")
        super().__post_init__()

    def select(self) -> Tensor:
        return self.take(self.last > -math.log(self.confidence))
