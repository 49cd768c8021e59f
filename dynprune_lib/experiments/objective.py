"""What a model is trained for: the loss of every sample."""

import torch.nn.functional as F
from torch import Tensor


def per_sample_losses(outputs: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy of each sample, in nats; of a regression, the squared error.

    Args:
        outputs: (B, classes) logits; of a regression, (B, 1) predictions.
        labels: (B,) int64; of a regression, (B,) of a floating-point type.
        label_smoothing: of the cross-entropy, in [0, 1). Default: 0.

    Returns:
        (B,) float32.

    Example:
        >>> import torch
        >>> per_sample_losses(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
        tensor([0.1269])
        >>> per_sample_losses(torch.tensor([[2.0], [0.0]]), torch.tensor([0.5, 0.5]))
        tensor([2.2500, 0.2500])
    """
    if labels.is_floating_point():
        return F.mse_loss(outputs.squeeze(1).float(), labels, reduction="none")
    return F.cross_entropy(outputs.float(), labels, reduction="none", label_smoothing=label_smoothing)
