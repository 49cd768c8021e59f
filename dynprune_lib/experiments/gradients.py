"""GraNd: the L2 norm of the gradient of each sample's loss (Paul et al. 2021, arXiv:2107.07075)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from dynprune_lib.experiments.augment import normalize
from dynprune_lib.experiments.data import ImageData

CHUNK = 128  # samples whose gradients of all parameters are held at a time


def gradient_norms_of_all(model: nn.Module, data: ImageData, exact: bool) -> Tensor:
    """The norms (N,) of all training samples, without augmentation, by the model in its evaluation mode."""
    norms = gradient_norms if exact else last_layer_gradient_norms
    chunks = zip(data.train.images.split(CHUNK), data.train.labels.split(CHUNK), strict=True)
    return torch.cat([norms(model, normalize(images, data), labels) for images, labels in chunks])


def gradient_norms(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """Of all parameters, exactly.

    Args:
        model: gives logits; it is put in its evaluation mode, in which samples do not see each other.
        x: (B, ...) inputs.
        labels: (B,) int64.

    Returns:
        (B,) float32.
    """
    model.eval()
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(parameters: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, (parameters, buffers), (sample.unsqueeze(0),))
        return F.cross_entropy(logits, label.unsqueeze(0))

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, labels)
    return torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients.values()]).sum(0).sqrt()


@torch.no_grad()
def last_layer_gradient_norms(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """Of the last linear layer alone, for the price of a forward pass: with features h, weights W and bias b, the
    gradient is (p - y) of b and (p - y) h^T of W, so its norm is |p - y| sqrt(1 + |h|^2). Arguments as above.

    Raises:
        ValueError: the model has no linear layer with a bias.
    """
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.bias is not None]
    if not linear:
        raise ValueError("the model has no linear layer with a bias: take the gradient of all its parameters")
    features: list[Tensor] = []
    handle = linear[-1].register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        logits = model.eval()(x)
    finally:
        handle.remove()
    error = logits.softmax(1) - F.one_hot(labels, logits.shape[1])
    return error.norm(dim=1) * (1 + features[0].square().sum(1)).sqrt()
