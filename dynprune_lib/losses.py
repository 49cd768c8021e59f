"""Per-sample losses from the losses that people have: of any shape, in several parts, of a module that averages."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IGNORED = -100  # label of tokens and pixels that do not count, as in `torch.nn.CrossEntropyLoss`
WEIGHTS = ("weight", "pos_weight")  # what losses of torch call the weights of classes


def per_sample(losses: Any, mask: Tensor | None = None) -> Tensor:
    """Return one loss per sample, (B,), the mean over all other dimensions.

    Args:
        losses: tensor of shape (B, ...) as `reduction="none"` returns it, an array or a list of numbers; a dict or list
            of such tensors with parts of the loss, which are added.
        mask: bool, of the shape of the losses; True for those that count. The mean over the batch is then that of all
            losses that count, and a sampler records the mean of those of each sample, nothing for a sample without
            any. Default: None, all count.

    Raises:
        ValueError: if the losses, or a part of them, are a scalar, or if the mask has another shape.

    Example:
        >>> per_sample(torch.tensor([[1.0, 3.0], [0.0, 0.0]]))
        tensor([2., 0.])
        >>> per_sample({"box": torch.tensor([1.0, 2.0]), "label": torch.tensor([[0.5], [0.5]])})
        tensor([1.5000, 2.5000])
        >>> per_sample(torch.tensor([[1.0, 3.0], [2.0, 0.0]]), torch.tensor([[True, True], [True, False]])).mean()
        tensor(2.)
    """
    has_parts = isinstance(losses, Sequence) and any(isinstance(part, Tensor) for part in losses)
    if has_parts or isinstance(losses, Mapping):
        parts = [per_sample(part, mask) for part in (losses.values() if isinstance(losses, Mapping) else losses)]
        return _scored(torch.stack(parts).sum(0), torch.stack([getattr(part, "scores", part) for part in parts]).sum(0))
    losses = torch.as_tensor(losses)
    if losses.ndim == 0:
        raise ValueError("losses is a scalar: use a loss with reduction='none', for example unreduced(criterion)")
    if mask is not None:
        if mask.shape != losses.shape:
            raise ValueError(f"mask has shape {tuple(mask.shape)} and losses {tuple(losses.shape)}: they must be equal")
        return _of_all(torch.where(mask, losses, 0), losses, mask, mask)
    return losses if losses.ndim == 1 else losses.flatten(1).mean(1)


def unreduced(criterion: nn.Module) -> nn.Module:
    """Return a loss module with one loss per sample, (B,), whose mean over a batch is the loss of the given one.

    So class weights, `ignore_index` and every `reduction` count as in the given module. What a sampler records is the
    mean loss of the sample without weights, and nothing for a sample all of whose labels are ignored.

    Args:
        criterion: loss of `torch.nn`, which is copied; or any module that has a `reduction` and heeds "none", whose
            mean over the samples is compared with its own loss in the first batch.

    Raises:
        ValueError: if the module has no `reduction`, or has parameters; at the first batch, if its loss is not the mean
            over the samples.

    Example:
        >>> criterion = unreduced(nn.BCEWithLogitsLoss())
        >>> criterion(torch.zeros(2, 5), torch.ones(2, 5))
        tensor([0.6931, 0.6931])
        >>> weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))
        >>> logits, labels = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
        >>> unreduced(weighted)(logits, labels).mean(), weighted(logits, labels)
        (tensor(1.6269), tensor(1.6269))
    """
    if not isinstance(getattr(criterion, "reduction", None), str):
        raise ValueError(
            f"{type(criterion).__name__} has no attribute reduction to set to 'none': compute its losses per sample"
        )
    if next(criterion.parameters(), None) is not None:
        raise ValueError(
            f"{type(criterion).__name__} has parameters, which a copy would not train: set reduction='none'"
        )
    return _Unreduced(criterion)


class _Unreduced(nn.Module):
    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.reduced, self.all, self.plain = (copy.deepcopy(criterion) for _ in range(3))
        self.all.reduction = self.plain.reduction = "none"  # type: ignore[assignment]  # to mypy, these are modules
        self.has_weights = any(getattr(criterion, name, None) is not None for name in WEIGHTS)
        for name in WEIGHTS:
            if hasattr(criterion, name):
                setattr(self.plain, name, None)
        self.is_checked = type(criterion) in vars(nn).values()

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        losses = self.all(*args, **kwargs)
        if losses.ndim == 0:
            raise ValueError(
                f"{type(self.all).__name__} has a single loss for this batch: its samples need a dimension"
            )
        with torch.no_grad():
            plain = self.plain(*args, **kwargs) if self.has_weights else losses
        if isinstance(self.all, nn.CTCLoss) and self.reduced.reduction == "mean":
            lengths = torch.as_tensor(kwargs.get("target_lengths", args[-1]), device=losses.device)
            losses = plain = losses / lengths.clamp(min=1)
        counts, weights = self._of_labels(plain, *args, **kwargs)
        losses = _of_all(losses, plain, counts, weights, str(self.reduced.reduction))
        if not self.is_checked:
            self._check(losses, self.reduced(*args, **kwargs))
        return losses

    def _of_labels(self, plain: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Return which losses count, and their weights in a mean, both of the shape of the losses."""
        counts: Tensor = torch.ones_like(plain, dtype=torch.bool)
        if not isinstance(self.all, nn.CrossEntropyLoss | nn.NLLLoss):
            return counts, counts
        target = kwargs["target"] if "target" in kwargs else args[1]
        if target.is_floating_point():  # the probabilities of all classes
            return counts, counts
        counts = target != self.all.ignore_index
        weight = self.all.weight
        return counts, counts if weight is None else torch.where(counts, weight[target.where(counts, 0)], 0)

    def _check(self, losses: Tensor, loss: Tensor) -> None:
        self.is_checked = True
        if self.reduced.reduction != "none" and not torch.isclose(losses.mean(), loss, rtol=0.01, equal_nan=True):
            raise ValueError(
                f"{type(self.all).__name__} has the loss {float(loss):.4g} for a batch whose unreduced losses have the"
                f" mean {float(losses.mean()):.4g}: compute one loss per sample yourself, with that mean"
            )


def _of_all(losses: Tensor, plain: Tensor, counts: Tensor, weights: Tensor, reduction: str = "mean") -> Tensor:
    """Return the losses of samples, (B,), whose mean is the reduced loss, and as scores their means without weights.

    All arguments have the shape (B, ...): the losses with and without weights, whether they count, and the weights by
    whose sum a mean is divided, 0 where they do not count.
    """
    of_samples = [each.reshape(len(losses), -1).sum(1) for each in (losses, torch.where(counts, plain, 0), counts)]
    scale: Any = len(losses) if reduction == "sum" else 1
    if reduction in ("mean", "none"):  # a batch in which nothing counts has the loss 0
        scale = len(losses) / weights.sum().clamp(min=torch.finfo(losses.dtype).tiny)
    return _scored(of_samples[0] * scale, of_samples[1] / of_samples[2])


def _scored(losses: Tensor, scores: Tensor) -> Tensor:
    """Return losses that tell a sampler what to record in their place; NaN for nothing."""
    losses.scores = scores.detach()  # type: ignore[attr-defined]
    return losses


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
