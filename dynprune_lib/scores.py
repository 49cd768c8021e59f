"""How much a model still has to learn from a sample: one number from its logits and its label, the higher the more.

Every function takes logits (B, classes) of any float type and labels (B,) int64, and returns scores (B,) float32 on the
same device, without a graph. A bandit takes them as reward: `sampler.update(index, losses, margin(logits, labels))`.
Raju et al. 2021 (arXiv:2111.12621) call the score a measure of the model's uncertainty; later re-runs of their methods
use the loss, and so does this library where nothing else is said.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy, without label smoothing: -log p(label)."""
    return F.cross_entropy(logits.float(), labels, reduction="none")


@torch.no_grad()
def least_confidence(logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001 (all scores take both)
    """1 - max p: in [0, 1 - 1/classes], whatever the label is."""
    return 1 - logits.float().softmax(1).amax(1)


@torch.no_grad()
def entropy(logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001
    """-sum p log p, in nats: in [0, log(classes)], whatever the label is."""
    log_p = logits.float().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)


@torch.no_grad()
def margin(logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001
    """1 - (highest p - second highest p): in [0, 1], whatever the label is."""
    first, second = logits.float().softmax(1).topk(2, dim=1).values.unbind(1)
    return 1 - (first - second)


@torch.no_grad()
def el2n(logits: Tensor, labels: Tensor) -> Tensor:
    """The L2 norm of softmax(logits) minus one-hot(label) (Paul et al. 2021, arXiv:2107.07075): in [0, sqrt(2)]."""
    error = logits.float().softmax(1)
    return (error - F.one_hot(labels, logits.shape[1])).norm(dim=1)


@torch.no_grad()
def error(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the prediction is wrong, 0 where it is right."""
    return (logits.argmax(1) != labels).float()


SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "loss": loss,
    "least-confidence": least_confidence,
    "entropy": entropy,
    "margin": margin,
    "el2n": el2n,
    "error": error,
}
