"""Static pruning: the samples with the highest scores, computed before training and never again."""

import hashlib
from dataclasses import KW_ONLY, InitVar, dataclass, field

import torch
from torch import Tensor

from dynprune_lib.experiments.selection_groups import GROUPS
from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.checks import boolean, choice, integer, real
from dynprune_lib.samplers.selection import topk_random_ties


@dataclass(eq=False)
class StaticScored(PruningSampler):
    """Keeps the samples with the highest of the scores that it is given; ties are broken at random, by the seed.

    Args:
        scores: (N,) floats or integers, the higher the more a sample is worth; +inf is allowed, NaN is not.

    Raises:
        ValueError: `scores` is missing, is not a tensor of real numbers, or has another shape.
    """

    _: KW_ONLY
    scores: InitVar[Tensor | None] = None
    scores_digest: str = field(init=False, default="")

    def __post_init__(self, scores: Tensor | None) -> None:
        super().__post_init__()
        if not isinstance(scores, Tensor) or scores.is_complex():
            raise ValueError(
                f"{type(self).__name__} keeps the samples with the highest scores: give it their scores, a tensor of"
                f" {self.num_samples} real numbers"
            )
        if scores.shape != (self.num_samples,):
            raise ValueError(
                f"scores has shape {tuple(scores.shape)} and the data set {self.num_samples} samples: there must be"
                " one score a sample; are they of another data set?"
            )
        if scores.isnan().any():
            raise ValueError(f"{int(scores.isnan().sum())} of the {self.num_samples} scores are not a number")
        scores = scores.detach().cpu()
        if scores.dtype == torch.bfloat16:
            scores = scores.float()  # NumPy has no bfloat16
        self._kept = topk_random_ties(scores, self.num_kept, self.generator("ties")).to(torch.int32)
        self.scores_digest = hashlib.blake2b(scores.numpy().tobytes(), digest_size=8).hexdigest()

    def select(self) -> Tensor:
        return self._kept


@dataclass(eq=False)
class Forget(StaticScored):
    """By forget scores (Toneva et al. 2019, arXiv:1812.05159): how often a sample went from classified right to wrong
    between two presentations in a full training run; infinite, so kept first, if it was never classified right."""


@dataclass(eq=False)
class EL2N(StaticScored):
    """By EL2N (Paul et al. 2021, arXiv:2107.07075): the L2 norm of softmax(logits) - one-hot(label), averaged over
    several models, early in their training; the source has 10 models and epoch 20 of 200.

    Args:
        models: how many models the scores are the mean of.
        at_epoch: after how many epochs of a training on all the data they are taken.
    """

    _: KW_ONLY
    models: int = 10
    at_epoch: int = 2

    def __post_init__(self, scores: Tensor | None) -> None:
        _check_scoring(self)
        super().__post_init__(scores)


@dataclass(eq=False)
class GraNd(StaticScored):
    """By GraNd (Paul et al. 2021, arXiv:2107.07075): the L2 norm of the gradient of a sample's loss, averaged over
    several models. At initialisation, as the source has it, it does not reproduce (arXiv:2303.14753: an error in the
    original code); after some epochs it does.

    Args:
        models: how many models the scores are the mean of.
        at_epoch: after how many epochs of a training on all the data they are taken.
        exact: the gradient of all parameters; otherwise that of the last layer alone, for the price of a forward pass.
    """

    _: KW_ONLY
    models: int = 10
    at_epoch: int = 2
    exact: bool = True

    def __post_init__(self, scores: Tensor | None) -> None:
        _check_scoring(self)
        boolean("exact", self.exact)
        super().__post_init__(scores)


@dataclass(eq=False)
class FinalSubset(StaticScored):
    """The subset that a dynamic sampler had at the end of a training with the same rate, used from the start (claim C6
    of Raju et al. 2021: pruning is a process, tied to the training, and not a property of the data).

    Args:
        of: the dynamic sampler, by its name in SAMPLERS.
    """

    _: KW_ONLY
    of: str = "ucb"

    def __post_init__(self, scores: Tensor | None) -> None:
        choice("of", self.of, _without_scores())
        super().__post_init__(scores)


@dataclass(eq=False)
class WithoutGroup(StaticScored):
    """Leaves out samples of one group for good (claim C4 of Raju et al. 2021): of those that a dynamic sampler selected
    never, sometimes or always in a training; at random within the group, and beyond it where it is too small.

    Args:
        group: `never`, `sometimes` or `always`, as `dynprune_lib.experiments.selection_groups` tells them apart.
        of: the dynamic sampler, by its name in SAMPLERS.
        of_rate: its prune rate.
    """

    _: KW_ONLY
    group: str = "never"
    of: str = "ucb"
    of_rate: float = 0.5

    def __post_init__(self, scores: Tensor | None) -> None:
        choice("group", self.group, GROUPS)
        choice("of", self.of, _without_scores())
        self.of_rate = real("of_rate", self.of_rate, "the fraction that the dynamic sampler leaves out", "[0, 1)")
        super().__post_init__(scores)


def _check_scoring(sampler: EL2N | GraNd) -> None:
    for name in ("models", "at_epoch"):
        setattr(sampler, name, integer(name, getattr(sampler, name), at_least=1))


def _without_scores() -> list[str]:
    """Return the names of the samplers that need no scores computed before training."""
    from dynprune_lib.samplers import SAMPLERS  # which imports this module

    return [name for name, sampler in SAMPLERS.items() if not issubclass(sampler, StaticScored)]
