"""Dynamic EL2N: the samples with the largest error norms, selected again every period."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from dynprune_lib.samplers.last_score import LastScore


@dataclass(eq=False)
class DynamicEL2N(LastScore):
    """Sampler that keeps the samples with the highest last EL2N scores (Attendu and Corbeil 2023).

    Do not use it on data with wrong labels: their losses are the highest, so this sampler prefers them.

    The paper trains on all samples in the first epochs (`warm_up`), then keeps the top samples and re-scores the whole
    data set every period. The training loop re-scores by calling `observe` (`--rescore` on the command line).

    References:
        Attendu and Corbeil 2023, "NLU on Data Diets: Dynamic Data Subset Selection for NLP Classification Tasks",
        arXiv:2306.03208.

    Example:
        >>> import torch
        >>> from dynprune_lib.scores import el2n
        >>> sampler = DynamicEL2N(3, prune_rate=0.6)
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
        >>> sampler.observe(torch.arange(3), el2n(logits, labels=torch.tensor([0, 0, 0])))
        >>> sampler.set_epoch(1)
        >>> list(sampler)  # sample 1 is misclassified
        [1]
    """

    required_score: ClassVar[str | None] = "el2n"

    def select(self) -> Tensor:
        return self.highest()
