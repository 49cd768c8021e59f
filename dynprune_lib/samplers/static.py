"""Static pruning: the samples with the highest scores, which are computed once, before training."""

import hashlib
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import setting
from dynprune_lib.samplers.registry import SAMPLERS
from dynprune_lib.samplers.sampler import PruningSampler
from dynprune_lib.samplers.selection import topk_random_ties

GROUPS = ("never", "sometimes", "always")  # how often a dynamic sampler selected a sample


def _without_scores() -> list[str]:
    """Return the names of the samplers that need no scores computed before training."""
    return [name for name, sampler in SAMPLERS.items() if not issubclass(sampler, StaticScored)]


@dataclass(eq=False)
class StaticScored(PruningSampler):
    """Sampler that keeps the samples with the highest given scores for the whole run, with ties broken at random.

    Args:
        scores: (N,) of any real type, higher for samples that are worth more; may be infinite, not NaN. Required.

    Raises:
        ValueError: if `scores` is missing, is not a tensor of real numbers, has another shape or has NaN.

    Example:
        >>> sampler = StaticScored(4, prune_rate=0.5, scores=torch.tensor([0.2, 0.9, 0.1, 0.7]))
        >>> sampler.subset().tolist()
        [1, 3]
    """

    _: KW_ONLY
    scores: InitVar[Tensor | None] = None
    scores_digest: str = field(init=False, default="")

    def __post_init__(self, scores: Tensor | None) -> None:
        super().__post_init__()
        if not isinstance(scores, Tensor) or scores.is_complex():
            raise ValueError(
                f"{type(self).__name__} keeps the samples with the highest scores: pass scores, a tensor of"
                f" {self.num_samples} real numbers"
            )
        if scores.shape != (self.num_samples,):
            raise ValueError(
                f"scores has shape {tuple(scores.shape)} and the data set {self.num_samples} samples: it must have"
                " one score per sample; are the scores of another data set?"
            )
        if scores.isnan().any():
            raise ValueError(f"{int(scores.isnan().sum())} of the {self.num_samples} scores are NaN")
        scores = scores.detach().cpu()
        if scores.dtype == torch.bfloat16:
            scores = scores.float()  # NumPy has no bfloat16
        kept = topk_random_ties(self.priorities(scores), self.num_kept, self.random_generator("ties"))
        self._kept: Tensor = kept.to(torch.int32)
        self.scores_digest = hashlib.blake2b(scores.numpy().tobytes(), digest_size=8).hexdigest()

    def priorities(self, scores: Tensor) -> Tensor:
        """Return (N,) values; the highest are kept. Default: the scores."""
        return scores

    def select(self) -> Tensor:
        return self._kept


@dataclass(eq=False)
class Forget(StaticScored):
    """Sampler that keeps the samples with the most forgetting events in an earlier run on all samples
    (Toneva et al. 2019).

    `dynprune_lib.experiments.observers.ForgettingEvents` counts them. Samples that were never classified correctly have
    an infinite score and are kept first.

    References:
        Toneva et al., ICLR 2019, "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
        arXiv:1812.05159.

    Example:
        >>> sampler = Forget(4, prune_rate=0.5, scores=torch.tensor([3.0, 0.0, torch.inf, 1.0]))
        >>> sampler.subset().tolist()
        [0, 2]
    """

    name: ClassVar[str] = "forget"


@dataclass(eq=False)
class EL2N(StaticScored):
    """Sampler that keeps the samples with the highest EL2N scores, averaged over several models early in training
    (Paul et al. 2021).

    EL2N is the L2 norm of softmax(logits) - one-hot(label). The paper uses 10 models after 20 of 200 epochs.

    Args:
        models: number of models whose scores are averaged, at least 1. Default: 10.
        at_epoch: number of epochs on all samples before the scores are computed, at least 1. Default: 2.

    References:
        Paul et al., NeurIPS 2021, "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
        arXiv:2107.07075.

    Example:
        >>> from dynprune_lib.scores import el2n
        >>> first = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 1.0]])
        >>> second = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 3.0]])
        >>> scores = torch.stack([el2n(logits, torch.zeros(4, dtype=torch.long)) for logits in (first, second)]).mean(0)
        >>> EL2N(4, prune_rate=0.5, scores=scores, models=2).subset().tolist()
        [1, 3]
    """

    name: ClassVar[str] = "el2n"
    models: int = setting(10, "[1, inf)")
    at_epoch: int = setting(2, "[1, inf)")


@dataclass(eq=False)
class GraNd(StaticScored):
    """Sampler that keeps the samples with the highest GraNd scores, averaged over several models early in training
    (Paul et al. 2021).

    GraNd is the L2 norm of the gradient of a sample's loss. The paper also computes it at initialisation; these results
    are due to an error in its code and do not reproduce, unlike those after some epochs.

    Args:
        models: number of models whose scores are averaged, at least 1. Default: 10.
        at_epoch: number of epochs on all samples before the scores are computed, at least 1. Default: 2.
        exact: whether to use the gradient of all parameters; False for that of the last layer only, which costs no more
            than a forward pass. Default: True.

    References:
        Paul et al., NeurIPS 2021, "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
        arXiv:2107.07075. Kirsch 2023, "Does 'Deep Learning on a Data Diet' reproduce? Overall yes, but GraNd at
        Initialization does not", arXiv:2303.14753.

    Example:
        >>> gradients = torch.tensor([[0.3, 0.4], [0.0, 0.1], [1.0, 0.0], [0.1, 0.1]])  # per sample, of one model
        >>> GraNd(4, prune_rate=0.5, scores=gradients.norm(dim=1), models=1).subset().tolist()
        [0, 2]
    """

    name: ClassVar[str] = "grand"
    models: int = setting(10, "[1, inf)")
    at_epoch: int = setting(2, "[1, inf)")
    exact: bool = setting(True)


@dataclass(eq=False)
class AUM(StaticScored):
    """Sampler that keeps the samples with the largest areas under the margin in an earlier run on all samples: it drops
    those that look mislabelled (Pleiss et al. 2020).

    The area is the mean over the epochs of the label's logit minus the highest other logit: higher for easy samples.

    Implementation choice: the prune rate says how many are dropped, not a threshold found by an artificial class.

    References:
        Pleiss et al., NeurIPS 2020, "Identifying Mislabeled Data using the Area Under the Margin Ranking",
        arXiv:2001.10528.

    Example:
        >>> sampler = AUM(4, prune_rate=0.25, scores=torch.tensor([3.0, -1.0, 0.5, 2.0]))  # sample 1 looks mislabelled
        >>> sampler.subset().tolist()
        [0, 2, 3]
    """

    name: ClassVar[str] = "aum"


@dataclass(eq=False)
class CAT(StaticScored):
    """Sampler that keeps the samples whose losses vary most over the first epochs of an earlier run on all samples
    (Checkpoints Across Time; Chimoto et al. 2024).

    Implementation choice: the losses are those of training, which cost nothing. Chimoto et al. compute the perplexity
    of sentences at checkpoints; their formula was not seen in the source.

    Args:
        at_epoch: number of epochs on all samples whose losses are compared, at least 2. Default: 4.

    References:
        Chimoto et al., Findings of ACL 2024, "Critical Learning Periods: Leveraging Early Training Dynamics for
        Efficient Data Pruning", arXiv:2405.19462.

    Example:
        >>> losses = torch.tensor([[2.0, 2.0, 2.0, 0.1], [0.5, 1.9, 1.0, 0.1]])  # of four samples in two epochs
        >>> CAT(4, prune_rate=0.5, scores=losses.var(dim=0)).subset().tolist()
        [0, 2]
    """

    name: ClassVar[str] = "cat"
    at_epoch: int = setting(4, "[2, inf)")


@dataclass(eq=False)
class COWERAGE(StaticScored):
    """Sampler that keeps as many samples of each stratum of the loss early in an earlier run on all samples: easy,
    medium and hard ones (Azeemi et al. 2022).

    The samples are ordered by loss and cut into strata of equal size. Within a stratum, they are drawn at random.

    Implementation choice: the losses are those of training, which cost nothing. Azeemi et al. use the word error rate
    of speech; the size of their strata was not seen in the source.

    Args:
        at_epoch: number of epochs on all samples, at least 1; the losses of the last are used. Default: 2.
        strata: number of strata, at least 1. Default: 10.

    References:
        Azeemi et al. 2022, "Towards Representative Subset Selection for Self-Supervised Speech Recognition",
        arXiv:2203.09829.

    Example:
        >>> losses = torch.tensor([0.1, 3.0, 0.2, 2.0])
        >>> kept = COWERAGE(4, prune_rate=0.5, scores=losses, strata=2).subset().tolist()
        >>> len({0, 2} & set(kept)), len({1, 3} & set(kept))  # of the easy half and of the hard half
        (1, 1)
    """

    name: ClassVar[str] = "cowerage"
    at_epoch: int = setting(2, "[1, inf)")
    strata: int = setting(10, "[1, inf)")

    def priorities(self, scores: Tensor) -> Tensor:
        """Return minus the place of each sample in a random order of its stratum; the first of all strata are kept."""
        random = self.random_generator("strata")
        shuffled = torch.randperm(self.num_samples, generator=random, device="cpu")
        order = shuffled[scores[shuffled].argsort(stable=True)]  # equal losses in random order
        places = [torch.randperm(len(each), generator=random, device="cpu") for each in order.tensor_split(self.strata)]
        return -torch.cat(places)[order.argsort()].float()


@dataclass(eq=False)
class FinalSubset(StaticScored):
    """Sampler that keeps, from the first epoch on, the subset that a dynamic sampler had at the end of an earlier run
    (claim C6 of Raju et al. 2021).

    The earlier run has the same prune rate.

    Args:
        of: name of the dynamic sampler in SAMPLERS. Default: "ucb".

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> is_in_subset = torch.tensor([False, True, True, False])
        >>> FinalSubset(4, prune_rate=0.5, scores=is_in_subset, of="ucb").subset().tolist()
        [1, 2]
    """

    name: ClassVar[str] = "final-subset"
    of: str = setting("ucb", _without_scores)


@dataclass(eq=False)
class OfGroups(StaticScored):
    """Base class of the samplers whose scores are the groups of the samples: how often a dynamic sampler selected each
    in an earlier run, as indices into GROUPS, see `dynprune_lib.experiments.selection_groups`.

    Args:
        of: name of the dynamic sampler in SAMPLERS. Default: "ucb".
        of_rate: prune rate of the dynamic sampler, in [0, 1). Default: 0.5.
        of_rescore: whether the earlier run has one warm-up epoch and then re-scores all samples before each selection.
            Otherwise, the group of a sample depends on when it was first seen, since losses fall. Default: False.
    """

    of: str = setting("ucb", _without_scores)
    of_rate: float = setting(0.5, "[0, 1)")
    of_rescore: bool = setting(False)


@dataclass(eq=False)
class WithoutGroup(OfGroups):
    """Sampler that drops samples which a dynamic sampler selected never, sometimes or always in an earlier run
    (claim C4 of Raju et al. 2021).

    The dropped samples are drawn at random from the group, and from the others if the group is too small. They are
    dropped for the whole run.

    Args:
        group: group to drop samples from, "never", "sometimes" or "always". Default: "never".

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> groups = torch.tensor([1, 0, 2, 0])  # sometimes, never, always, never
        >>> WithoutGroup(4, prune_rate=0.5, scores=groups, group="never").subset().tolist()
        [0, 2]
    """

    name: ClassVar[str] = "without-group"
    group: str = setting("never", lambda: GROUPS)

    def priorities(self, scores: Tensor) -> Tensor:
        return (scores != GROUPS.index(self.group)).float()


@dataclass(eq=False)
class AlwaysFirst(OfGroups):
    """Sampler that keeps the samples which a dynamic sampler selected always in an earlier run, and fills up with a
    random part of those selected sometimes: one part for the whole run, or another in every period (claim C4 of Raju et
    al. 2021).

    Args:
        redraw: whether each period has another part of the *sometimes* samples. Default: False.

    References:
        Raju et al. 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621.

    Example:
        >>> groups = torch.tensor([2, 1, 0, 1, 1, 1])  # always, sometimes, never, and three times sometimes
        >>> sampler = AlwaysFirst(6, prune_rate=0.5, scores=groups, redraw=True)
        >>> subsets = []
        >>> for epoch in range(8):
        ...     sampler.set_epoch(epoch)
        ...     subsets.append(sampler.subset().tolist())
        >>> all(subset[0] == 0 and 2 not in subset for subset in subsets), len(set(map(tuple, subsets))) > 1
        (True, True)
    """

    name: ClassVar[str] = "always-first"
    redraw: bool = setting(False)

    def __post_init__(self, scores: Tensor | None) -> None:
        super().__post_init__(scores)
        assert scores is not None  # else the base class raises
        self._groups: Tensor = scores.detach().cpu().to(torch.int8)

    def select(self) -> Tensor:
        if not self.redraw:
            return self._kept
        return topk_random_ties(self._groups, self.num_kept, self.random_generator("part", self.period_number))
