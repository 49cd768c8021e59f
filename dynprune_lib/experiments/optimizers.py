"""Losses of samples, optimizers and learning-rate schedules, by name."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR


def per_sample_losses(outputs: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy (B,) of logits (B, classes), in nats; the squared error of a regression's (B, 1)."""
    if labels.is_floating_point():
        return F.mse_loss(outputs.squeeze(1).float(), labels, reduction="none")
    return F.cross_entropy(outputs.float(), labels, reduction="none", label_smoothing=label_smoothing)


def sgd(model: nn.Module, spec: Any) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum."""
    return torch.optim.SGD(
        parameter_groups(model, spec),
        lr=spec.learning_rate,
        momentum=spec.momentum,
        weight_decay=spec.weight_decay,
        nesterov=spec.momentum > 0,
        fused=True,
    )


def adamw(model: nn.Module, spec: Any) -> torch.optim.Optimizer:
    """Return AdamW; `momentum` is its first beta."""
    betas = (spec.momentum, 0.999)
    groups = parameter_groups(model, spec)
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=betas, weight_decay=spec.weight_decay, fused=True)


def parameter_groups(model: nn.Module, spec: Any) -> list[dict[str, Any]]:
    """Return the parameters, with a second group of batch-norm biases that learn `bias_rate` times as fast and decay as
    much per step."""
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


def one_cycle(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Return a linear warm-up from a tenth of the peak over a quarter of the steps, then a linear decay to almost 0."""
    return OneCycleLR(
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        total_steps=steps + 1,  # torch counts the state after the last step as one more step
        pct_start=0.25 if steps != 3 else 0.5,  # a quarter of 3 + 1 steps makes torch divide by zero
        anneal_strategy="linear",
        cycle_momentum=False,
        div_factor=10,
        final_div_factor=1_000,
    )


def cosine(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Return a cosine decay from the peak to 0, without warm-up."""
    return CosineAnnealingLR(optimizer, steps)


# name -> function of the number of steps and the optimizer, whose rates are the peaks
SCHEDULES: dict[str, Callable[[Optimizer, int], LRScheduler]] = {"one-cycle": one_cycle, "cosine": cosine}
