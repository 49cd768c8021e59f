"""Predictions, accuracy and scores of a model, without augmentation."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynprune_lib.experiments.augment import prepare
from dynprune_lib.experiments.data import Split, TensorData
from dynprune_lib.experiments.precision import autocast
from dynprune_lib.experiments.records import LastEpoch

EVALUATION_BATCH = 1_000


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, data: TensorData, precision: str) -> tuple[float, float]:
    """Return mean loss and accuracy in [0, 1] of a model on a split, without test-time augmentation.

    Those of a regression are the mean squared error and R², the explained share of the variance, 0 if it is negative.
    """
    if not data.classes:
        outputs = torch.cat([outputs for outputs, _ in predict(model, split, data, precision)])
        error = F.mse_loss(outputs.squeeze(1), split.labels).item()
        return error, max(0.0, 1 - error / split.labels.var(correction=0).item())
    correct = loss = torch.zeros((), device=data.device)
    for logits, labels in predict(model, split, data, precision):
        correct = correct + (logits.argmax(1) == labels).sum()
        loss = loss + F.cross_entropy(logits, labels, reduction="sum")
    return loss.item() / len(split), correct.item() / len(split)


@torch.no_grad()
def describe_predictions(model: nn.Module, data: TensorData, precision: str) -> LastEpoch:
    """Return the test accuracy of each class and the calibration error of a model."""
    logits, labels = (torch.cat(parts) for parts in zip(*predict(model, data.test, data, precision), strict=True))
    correct = (logits.argmax(1) == labels).double()
    counts = torch.bincount(labels, minlength=len(data.classes)).clamp(min=1)
    accuracies = torch.bincount(labels, correct, minlength=len(data.classes)) / counts
    error = calibration_error(logits.softmax(1).amax(1), correct)
    return LastEpoch(
        class_accuracy=[round(accuracy, 6) for accuracy in accuracies.tolist()], calibration_error=round(error, 6)
    )


def calibration_error(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    """Return the expected calibration error: mean distance of confidence and accuracy over bins of equal width.

    Args:
        confidence: (N,) largest probability of each prediction, in [0, 1].
        correct: (N,) 1 for a correct prediction, else 0.
        bins: number of bins. Default: 15.

    References:
        Guo et al. 2017, arXiv:1706.04599.

    Example:
        >>> calibration_error(torch.tensor([0.9, 0.9, 0.5, 0.5]), torch.tensor([1, 1, 1, 0]))
        0.05
    """
    place = (confidence * bins).long().clamp(max=bins - 1)
    gaps = torch.bincount(place, correct.double() - confidence.double(), minlength=bins)
    return round((gaps.abs().sum() / len(confidence)).item(), 6)


def predict(model: nn.Module, split: Split, data: TensorData, precision: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield outputs and labels of a split, batch by batch in its order; the model is put in evaluation mode."""
    model.eval()
    for inputs, labels in zip(split.inputs.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH), strict=True):
        with autocast(data.device, precision):
            outputs = model(prepare(inputs, data)).float()
        yield outputs, labels


@torch.no_grad()
def score_all(model: nn.Module, data: TensorData, precision: str, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the scores (N,) float32 of all training samples, without augmentation."""
    return torch.cat([score(logits, labels) for logits, labels in predict(model, data.train, data, precision)])
