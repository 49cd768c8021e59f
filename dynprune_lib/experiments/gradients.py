"""GraNd: L2 norm of the gradient of each sample's loss (Paul et al. 2021, arXiv:2107.07075)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.augment import prepare
from dynprune_lib.experiments.data import TensorData

CHUNK = 128  # samples whose gradients are in memory at a time


def gradient_norms_of_all(model: nn.Module, data: TensorData, exact: bool) -> Tensor:
    """Return the gradient norms (N,) of all training samples, without augmentation.

    Args:
        model: put in evaluation mode.
        data: the data set.
        exact: whether to use the gradient of all parameters, else that of the last layer.
    """
    norms = gradient_norms if exact else last_layer_gradient_norms
    chunks = zip(data.train.inputs.split(CHUNK), data.train.labels.split(CHUNK), strict=True)
    return torch.cat([norms(model, prepare(inputs, data), labels) for inputs, labels in chunks])


def gradient_norms(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient norm of each sample over all parameters.

    Args:
        model: returns logits; it is put in evaluation mode, so that samples of a batch do not interact.
        x: (B, ...) inputs.
        labels: (B,) int64.

    Returns:
        (B,) float32.

    Example:
        >>> x, labels = torch.ones(2, 3), torch.tensor([0, 1])
        >>> layer = nn.Linear(3, 2)
        >>> exact = gradient_norms(layer, x, labels)
        >>> torch.allclose(exact, last_layer_gradient_norms(layer, x, labels))
        True
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
    """Return the gradient norm of each sample over the last linear layer, at the cost of a forward pass.

    With features h, weights W and bias b, the gradient is (p - y) for b and (p - y) h^T for W, so its norm is
    |p - y| sqrt(1 + |h|^2). Arguments and result are those of `gradient_norms`.

    Raises:
        SpecError: the model has no linear layer with a bias.
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
