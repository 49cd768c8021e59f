"""Optimizers of the training loop, by name."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def sgd(model: nn.Module, spec: Any) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, in its fused implementation."""
    return torch.optim.SGD(
        parameter_groups(model, spec),
        lr=spec.learning_rate,
        momentum=spec.momentum,
        weight_decay=spec.weight_decay,
        nesterov=spec.momentum > 0,
        fused=True,
    )


def adamw(model: nn.Module, spec: Any) -> torch.optim.Optimizer:
    """Return AdamW, in its fused implementation; `momentum` is its first beta."""
    betas = (spec.momentum, 0.999)
    groups = parameter_groups(model, spec)
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=betas, weight_decay=spec.weight_decay, fused=True)


def parameter_groups(model: nn.Module, spec: Any) -> list[dict[str, Any]]:
    """Return the parameters in one group, or the biases of batch normalisations in a second one with their own rate.

    The second group learns `bias_rate` times as fast and decays as much per step as the first.

    Example:
        >>> from types import SimpleNamespace
        >>> spec = SimpleNamespace(learning_rate=0.5, weight_decay=0.08, bias_rate=8)
        >>> groups = parameter_groups(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), spec)
        >>> [len(group["params"]) for group in groups], groups[1]["lr"], groups[1]["weight_decay"]
        ([3, 1], 4.0, 0.01)
    """
    if spec.bias_rate == 1:
        return [{"params": list(model.parameters())}]
    norms = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    biases = [layer.bias for layer in norms if layer.bias is not None]
    chosen = {id(bias) for bias in biases}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    own = {"lr": spec.bias_rate * spec.learning_rate, "weight_decay": spec.weight_decay / spec.bias_rate}
    return [{"params": others}, {"params": biases} | own]


# name -> function of the model and the RunSpec
OPTIMIZERS: dict[str, Callable[[nn.Module, Any], torch.optim.Optimizer]] = {"sgd": sgd, "adamw": adamw}
