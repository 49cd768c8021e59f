"""Scores of samples: one number from a sample's logits and label, higher if the model has more to learn from it.

Every function in SCORES takes logits (B, classes) of any floating-point type and labels (B,) int64, and returns scores
(B,) float32 on the same device, without a graph. A sampler records them in place of the losses::

    loss = sampler.update(index, losses, scores=margin(logits, labels))

Raju et al. 2021 (arXiv:2111.12621) describe the score as the uncertainty of the model. Later work on their methods uses
the loss, which is the default here.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy, -log p(label), in nats, without label smoothing; in [0, inf).

    Example:
        >>> loss(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]))
        tensor([0.1269, 2.1269])
    """
    return F.cross_entropy(logits.float(), labels, reduction="none")


@torch.no_grad()
def least_confidence(logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001 (all scores have the same signature)
    """Return one minus the highest probability, 1 - max p; in [0, 1 - 1/classes], independent of the label.

    Example:
        >>> least_confidence(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]))
        tensor([0.1192, 0.5000])
    """
    return 1 - logits.float().softmax(1).amax(1)


@torch.no_grad()
def entropy(logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001
    """Return the entropy of the prediction, -sum p log p, in nats; in [0, log(classes)], independent of the label.

    Example:
        >>> entropy(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]))
        tensor([0.3653, 0.6931])
    """
    log_p = logits.float().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)


@torch.no_grad()
def margin(logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001
    """Return one minus the difference of the two highest probabilities; in [0, 1], independent of the label.

    Example:
        >>> margin(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]))
        tensor([0.2384, 1.0000])
    """
    first, second = logits.float().softmax(1).topk(2, dim=1).values.unbind(1)
    return 1 - (first - second)


@torch.no_grad()
def el2n(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the error L2 norm, that of softmax(logits) - one-hot(label); in [0, sqrt(2)].

    References:
        Paul et al., NeurIPS 2021, "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
        arXiv:2107.07075.

    Example:
        >>> el2n(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]))
        tensor([0.1686, 1.2456])
    """
    probability = logits.float().softmax(1)
    return (probability - F.one_hot(labels, logits.shape[1])).norm(dim=1)


@torch.no_grad()
def error(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 if the prediction is wrong and 0 if it is correct.

    Example:
        >>> error(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]))
        tensor([0., 1.])
    """
    return (logits.argmax(1) != labels).float()


@torch.no_grad()
def loss_difference(logits: Tensor, labels: Tensor, reference: Tensor) -> Tensor:
    """Return the absolute difference between the cross-entropy and that of a reference model, in nats; in [0, inf).

    Args:
        logits: (B, classes), of the model.
        labels: (B,) int64.
        reference: (B, classes), logits of the reference model for the same samples.

    References:
        Chen et al., NeurIPS 2024, "Beyond Efficiency: Molecular Data Pruning for Enhanced Generalization",
        arXiv:2409.01081. Its reference model is an exponential moving average of the model.

    Example:
        >>> logits, reference = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([[2.0, 0.0], [2.0, 0.0]])
        >>> loss_difference(logits, torch.tensor([0, 0]), reference)
        tensor([0., 2.])
    """
    return (loss(logits, labels) - loss(reference, labels)).abs()


@torch.no_grad()
def aum(logits: Tensor, labels: Tensor) -> Tensor:
    """Return minus the margin of the label: the highest other logit minus that of the label; negative if it is right.

    Its mean over the epochs of a run is minus the area under the margin (AUM).

    References:
        Pleiss et al., NeurIPS 2020, "Identifying Mislabeled Data using the Area Under the Margin Ranking",
        arXiv:2001.10528.

    Example:
        >>> aum(torch.tensor([[2.0, 0.0, 1.0], [2.0, 0.0, 1.0]]), torch.tensor([0, 1]))
        tensor([-1.,  2.])
    """
    logits = logits.float()
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return others - logits.gather(1, labels[:, None]).squeeze(1)


SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "loss": loss,
    "least-confidence": least_confidence,
    "entropy": entropy,
    "margin": margin,
    "el2n": el2n,
    "error": error,
    "aum": aum,
}

# these also take the logits of a reference model
REFERENCE_SCORES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"loss-difference": loss_difference}
