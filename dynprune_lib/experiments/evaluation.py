"""What a model says of images, without augmentation of any kind: predictions, accuracy, scores."""

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
    """(mean loss, accuracy in [0, 1]) of the model on a split, without augmentation of any kind."""
    correct = loss = torch.zeros((), device=data.device)
    for logits, labels in predict(model, split, data, precision):
        correct = correct + (logits.argmax(1) == labels).sum()
        loss = loss + F.cross_entropy(logits, labels, reduction="sum")
    return loss.item() / len(split), correct.item() / len(split)


def predict(model: nn.Module, split: Split, data: ImageData, precision: str) -> Iterator[tuple[Tensor, Tensor]]:
    """(logits, labels) of the split, batch by batch in its order, by the model in its evaluation mode."""
    model.eval()
    for images, labels in zip(split.images.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH), strict=True):
        with autocast(data.device, precision):
            logits = model(normalize(images, data)).float()
        yield logits, labels


@torch.no_grad()
def score_all(model: nn.Module, data: ImageData, precision: str, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The score of every training sample by the model as it is, without augmentation: (N,) float32."""
    return torch.cat([score(logits, labels) for logits, labels in predict(model, data.train, data, precision)])
