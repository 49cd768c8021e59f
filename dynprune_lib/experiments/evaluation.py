"""Predictions, accuracy and scores of a model, without augmentation."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynprune_lib.experiments.augment import normalize
from dynprune_lib.experiments.data import ImageData, Split
from dynprune_lib.experiments.precision import autocast

EVALUATION_BATCH = 1_000


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, data: ImageData, precision: str) -> tuple[float, float]:
    """Return mean loss and accuracy in [0, 1] of a model on a split, without test-time augmentation."""
    correct = loss = torch.zeros((), device=data.device)
    for logits, labels in predict(model, split, data, precision):
        correct = correct + (logits.argmax(1) == labels).sum()
        loss = loss + F.cross_entropy(logits, labels, reduction="sum")
    return loss.item() / len(split), correct.item() / len(split)


def predict(model: nn.Module, split: Split, data: ImageData, precision: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits and labels of a split, batch by batch in its order; the model is put in evaluation mode."""
    model.eval()
    for images, labels in zip(split.images.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH), strict=True):
        with autocast(data.device, precision):
            logits = model(normalize(images, data)).float()
        yield logits, labels


@torch.no_grad()
def score_all(model: nn.Module, data: ImageData, precision: str, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the scores (N,) float32 of all training samples, without augmentation."""
    return torch.cat([score(logits, labels) for logits, labels in predict(model, data.train, data, precision)])
