"""Predictions, accuracy, scores and gradient norms of a model, without augmentation."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.augment import prepare
from dynprune_lib.experiments.data import Split, TensorData
from dynprune_lib.experiments.precision import autocast
from dynprune_lib.experiments.records import LastEpoch

EVALUATION_BATCH = 1_000
CHUNK = 128  # samples whose gradients are in memory at a time


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, data: TensorData, precision: str) -> tuple[float, float]:
    """Return mean loss and accuracy in [0, 1]; of a regression the squared error and R², at least 0."""
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
    """Return the test accuracy of each class and the calibration error."""
    logits, labels = (torch.cat(parts) for parts in zip(*predict(model, data.test, data, precision), strict=True))
    correct = (logits.argmax(1) == labels).double()
    counts = torch.bincount(labels, minlength=len(data.classes)).clamp(min=1)
    accuracies = torch.bincount(labels, correct, minlength=len(data.classes)) / counts
    error = calibration_error(logits.softmax(1).amax(1), correct)
    return LastEpoch(
        class_accuracy=[round(accuracy, 6) for accuracy in accuracies.tolist()], calibration_error=round(error, 6)
    )


def calibration_error(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    """Return the expected calibration error (Guo et al. 2017, arXiv:1706.04599): the mean distance of confidence (N,),
    the largest probability, from accuracy over bins of equal width."""
    place = (confidence * bins).long().clamp(max=bins - 1)
    gaps = torch.bincount(place, correct.double() - confidence.double(), minlength=bins)
    return round((gaps.abs().sum() / len(confidence)).item(), 6)


def predict(model: nn.Module, split: Split, data: TensorData, precision: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield outputs and labels of a split, batch by batch; the model is put in evaluation mode."""
    model.eval()
    for inputs, labels in zip(split.inputs.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH), strict=True):
        with autocast(data.device, precision):
            outputs = model(prepare(inputs, data)).float()
        yield outputs, labels


@torch.no_grad()
def score_all(model: nn.Module, data: TensorData, precision: str, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the scores (N,) float32 of all training samples."""
    return torch.cat([score(logits, labels) for logits, labels in predict(model, data.train, data, precision)])


# GraNd: norms of the gradient of each sample's loss (Paul et al. 2021, arXiv:2107.07075)


def gradient_norms_of_all(model: nn.Module, data: TensorData, exact: bool) -> Tensor:
    """Return the norms (N,) of the gradients of all training samples."""
    norms = gradient_norms if exact else last_layer_gradient_norms
    chunks = zip(data.train.inputs.split(CHUNK), data.train.labels.split(CHUNK), strict=True)
    return torch.cat([norms(model, prepare(inputs, data), labels) for inputs, labels in chunks])


def gradient_norms(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """Return the norm (B,) of each sample's gradient over all parameters."""
    model.eval()
    parameters = {name: each.detach() for name, each in model.named_parameters() if each.requires_grad}
    fixed = model.state_dict()

    def loss(parameters: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, fixed | parameters, (sample.unsqueeze(0),))
        return F.cross_entropy(logits, label.unsqueeze(0))

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, labels)
    return torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients.values()]).sum(0).sqrt()


@torch.no_grad()
def last_layer_gradient_norms(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """Return the norm (B,) of each sample's gradient over the last linear layer, at the cost of a forward pass.

    With features h, the gradient is (p - y) for the bias and (p - y) h^T for the weights: its norm is |p - y| sqrt(1 +
    |h|^2).
    """
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.bias is not None]
    if not linear:
        raise SpecError("the model has no linear layer with a bias: use the gradient of all parameters")
    features: list[Tensor] = []
    handle = linear[-1].register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        logits = model.eval()(x)
    finally:
        handle.remove()
    error = logits.softmax(1) - F.one_hot(labels, logits.shape[1])
    return error.norm(dim=1) * (1 + features[0].square().sum(1)).sqrt()
