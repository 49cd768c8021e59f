"""Optimizers of the training loop, by name."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


def sgd(parameters: Iterable[nn.Parameter], spec: Any) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, in its fused implementation."""
    return torch.optim.SGD(
        parameters,
        lr=spec.learning_rate,
        momentum=spec.momentum,
        weight_decay=spec.weight_decay,
        nesterov=spec.momentum > 0,
        fused=True,
    )


def adamw(parameters: Iterable[nn.Parameter], spec: Any) -> torch.optim.Optimizer:
    """Return AdamW, in its fused implementation; `momentum` is its first beta."""
    betas = (spec.momentum, 0.999)
    return torch.optim.AdamW(parameters, lr=spec.learning_rate, betas=betas, weight_decay=spec.weight_decay, fused=True)


# name -> function of the parameters and the RunSpec
OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter], Any], torch.optim.Optimizer]] = {"sgd": sgd, "adamw": adamw}
