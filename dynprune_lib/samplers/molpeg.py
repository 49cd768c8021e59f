"""MolPeg: the samples whose loss differs most between the model and a moving average of it."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from torch import Tensor

from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.last_score import LastScore


@dataclass(eq=False)
class MolPeg(LastScore):
    """Sampler that keeps the samples with the highest absolute differences between the loss of the model and that of an
    exponential moving average of its weights (Chen et al. 2024).

    A large difference means that the model still changes its mind, whether it learns or forgets the sample. The
    reference model needs a second forward pass in every step. The paper trains on all samples in the last eighth of the
    epochs (`anneal_from`), and is about molecules and models that were trained before.

    Args:
        decay: decay per step of the reference model's weights, in [0, 1), for the training loop; the sampler itself
            only gets the differences, see `dynprune_lib.scores.loss_difference`. Default: 0.5.

    References:
        Chen et al., NeurIPS 2024, "Beyond Efficiency: Molecular Data Pruning for Enhanced Generalization",
        arXiv:2409.01081, and the code of the authors. Decay and annealing are as described by others; source not seen.

    Example:
        >>> import torch
        >>> from dynprune_lib.scores import loss_difference
        >>> sampler, labels = MolPeg(3, prune_rate=0.6), torch.tensor([0, 0, 0])
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
        >>> reference = torch.tensor([[4.0, 0.0], [0.0, 4.0], [2.0, 0.0]])
        >>> sampler.observe(torch.arange(3), loss_difference(logits, labels, reference))
        >>> sampler.set_epoch(1)
        >>> list(sampler)  # sample 1 is misclassified by both, sample 2 was just forgotten
        [2]
    """

    required_score: ClassVar[str | None] = "loss-difference"

    _: KW_ONLY
    decay: float = 0.5

    def __post_init__(self) -> None:
        self.decay = real("decay", self.decay, "the decay of the reference model", "[0, 1)")
        super().__post_init__()

    def select(self) -> Tensor:
        return self.highest()
