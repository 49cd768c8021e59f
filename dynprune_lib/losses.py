"""Per-sample losses from the losses that people have: of any shape, in several parts, of a module that averages."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IGNORED = -100  # label of tokens and pixels that do not count, as in `torch.nn.CrossEntropyLoss`


def per_sample(losses: Any) -> Tensor:
    """Return one loss per sample, (B,), the mean over all other dimensions.

    Args:
        losses: tensor of shape (B, ...) as `reduction="none"` returns it, an array or a list of numbers; a dict or list
            of such tensors with parts of the loss, which are added.

    Raises:
        ValueError: if the losses, or a part of them, are a scalar.

    Example:
        >>> per_sample(torch.tensor([[1.0, 3.0], [0.0, 0.0]]))
        tensor([2., 0.])
        >>> per_sample({"box": torch.tensor([1.0, 2.0]), "label": torch.tensor([[0.5], [0.5]])})
        tensor([1.5000, 2.5000])
    """
    has_parts = isinstance(losses, Sequence) and any(isinstance(part, Tensor) for part in losses)
    if has_parts or isinstance(losses, Mapping):
        parts = losses.values() if isinstance(losses, Mapping) else losses
        return torch.stack([per_sample(part) for part in parts]).sum(0)
    losses = torch.as_tensor(losses)
    if losses.ndim == 0:
        raise ValueError("losses is a scalar: use a loss with reduction='none', for example unreduced(criterion)")
    return losses if losses.ndim == 1 else losses.flatten(1).mean(1)


def unreduced(criterion: nn.Module) -> nn.Module:
    """Return a copy of a loss module that returns all losses instead of their mean; for `per_sample` to average.

    Raises:
        ValueError: if the module has no `reduction` to set.

    Example:
        >>> criterion = unreduced(nn.BCEWithLogitsLoss())
        >>> per_sample(criterion(torch.zeros(2, 5), torch.ones(2, 5)))
        tensor([0.6931, 0.6931])
    """
    if not isinstance(getattr(criterion, "reduction", None), str):
        raise ValueError(
            f"{type(criterion).__name__} has no attribute reduction to set to 'none': compute its losses per sample"
        )
    criterion = copy.deepcopy(criterion)
    criterion.reduction = "none"  # type: ignore[assignment]  # to mypy, all attributes of a module are modules
    return criterion


def per_sample_cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy of every sample, (B,) float32, averaged over its labels that are not -100.

    Args:
        logits: (B, ..., classes).
        labels: (B, ...) int64, one label per sample, token or pixel; -100 for those that do not count. A sample without
            any other label has the loss 0.
        label_smoothing: as in `torch.nn.functional.cross_entropy`, in [0, 1]. Default: 0.

    Example:
        >>> logits = torch.zeros(2, 3, 4)  # two sequences of three tokens, four classes
        >>> per_sample_cross_entropy(logits, torch.tensor([[0, 1, -100], [2, -100, -100]]))
        tensor([1.3863, 1.3863])
    """
    classes = logits.float().flatten(0, -2)
    losses = F.cross_entropy(classes, labels.flatten(), reduction="none", label_smoothing=label_smoothing)
    losses, counts = losses.view(len(labels), -1), (labels != IGNORED).view(len(labels), -1).sum(1)
    return losses.sum(1) / counts.clamp(min=1)
