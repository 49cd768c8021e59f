"""The per-sample losses of the models of transformers, by the kind of their labels."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from dynprune_lib.losses import per_sample, per_sample_cross_entropy

LOSSES_OF = "pass losses_of=..., a function of (outputs, batch) that returns one loss per sample"
CAUSAL = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())


def default_losses(
    outputs: Any,
    batch: dict[str, Tensor],
    problem_type: str | None = None,
    shifts: bool = False,
    smoothing: float = 0.0,
) -> Tensor:
    """Return the per-sample losses, (B,) float32, of a model with "logits" and a batch with "labels".

    Classes are compared by cross-entropy, those of tokens by its mean over the labels of a sequence that are not -100;
    one floating-point label by the squared error (regression), several by binary cross-entropy (multi-label).

    `problem_type` is that of the model's config, None to decide by the labels; with `shifts`, the label of a token is
    the next one. A loss that is none of these raises a ValueError.

    Example:
        >>> import torch
        >>> default_losses({"logits": torch.tensor([[2.0, 0.0], [0.0, 2.0]])}, {"labels": torch.tensor([0, 0])})
        tensor([0.1269, 2.1269])
        >>> default_losses({"logits": torch.tensor([[2.0], [0.0]])}, {"labels": torch.tensor([1.0, 0.0])})
        tensor([1., 0.])
    """
    logits, labels = _logits_and_labels(outputs, batch)
    if problem_type is None and (labels.is_floating_point() or logits.shape[-1] == 1):
        problem_type = "regression" if logits.shape[-1] == 1 else "multi_label_classification"
    if problem_type == "regression":
        if smoothing:
            raise ValueError(f"label_smoothing_factor is {smoothing}: a regression has no labels to smooth, use 0")
        return per_sample(F.mse_loss(logits.float().reshape(labels.shape), labels.float(), reduction="none"))
    if problem_type == "multi_label_classification":
        return per_sample(F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none"))
    if shifts:
        logits, labels = (logits, batch["shift_labels"]) if "shift_labels" in batch else (logits[:, :-1], labels[:, 1:])
    if logits.shape[:-1] != labels.shape:
        shapes = f"logits of shape {tuple(logits.shape)} for labels of shape {tuple(labels.shape)}"
        raise ValueError(f"the model has {shapes}: {LOSSES_OF}")
    return per_sample_cross_entropy(logits, labels, smoothing)


def shifts_labels(model: nn.Module) -> bool:
    """Return whether the label of a token is the next token, as in a causal language model, also in one of PEFT."""
    base: Any = model
    base = base.get_base_model() if hasattr(base, "get_base_model") else base
    if getattr(getattr(base, "config", None), "is_encoder_decoder", False):
        return False
    # no single sign of it is set for all models
    return getattr(base, "loss_type", None) == "ForCausalLM" or type(base).__name__ in CAUSAL


def _logits_and_labels(outputs: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    if not hasattr(outputs, "keys"):
        raise ValueError(f"the model returned a {type(outputs).__name__} instead of a dict with logits: {LOSSES_OF}")
    if "logits" not in outputs or "labels" not in batch:
        found = f"{', '.join(outputs)} for a batch with {', '.join(batch)}"
        raise ValueError(f"the model returned {found}; without logits and labels, {LOSSES_OF}")
    return outputs["logits"], batch["labels"]
