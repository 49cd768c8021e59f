"""Static pruning by the losses of the first epochs, as training gives them."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynprune_lib.samplers.checks import integer
from dynprune_lib.samplers.states import FINITE
from dynprune_lib.samplers.static_scored import StaticScored
from dynprune_lib.samplers.uniform import Full


@dataclass(eq=False)
class EarlyLosses(Full):
    """Sampler that keeps all samples, like `Full`, and follows the losses of each: the last one and their variance.

    Example:
        >>> sampler = EarlyLosses(2)
        >>> for losses in ([2.0, 2.0], [2.0, 1.0], [2.0, 0.0]):
        ...     sampler.observe(torch.arange(2), torch.tensor(losses))
        >>> sampler.last, sampler.variances()
        (tensor([2., 0.]), tensor([0., 1.]))
    """

    per_sample_range: ClassVar[dict[str, tuple[float, float]]] = {
        "seen": (0, FINITE),
        "last": (-FINITE, FINITE),
        "mean": (-FINITE, FINITE),
        "squares": (0, FINITE),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seen: Tensor = torch.zeros(self.num_samples, dtype=torch.float32)  # number of losses
        self.last: Tensor = torch.zeros(self.num_samples, dtype=torch.float32)
        self.mean: Tensor = torch.zeros(self.num_samples, dtype=torch.float32)
        # sums of squared differences from the mean
        self.squares: Tensor = torch.zeros(self.num_samples, dtype=torch.float32)

    def per_sample_state(self) -> dict[str, Tensor]:
        return {"seen": self.seen, "last": self.last, "mean": self.mean, "squares": self.squares}

    def record(self, index: Tensor, scores: Tensor, usable: Tensor) -> None:
        """Follow Welford's method, which is exact where the sum of squares is not."""
        old, seen = self.mean[index], self.seen[index] + usable
        difference = torch.where(usable, scores - old, 0)
        mean = old + difference / seen.clamp(min=1)
        added = torch.where(usable, difference * (scores - mean), 0)
        self.seen.index_copy_(0, index, seen)
        self.last.index_copy_(0, index, torch.where(usable, scores, self.last[index]))
        self.mean.index_copy_(0, index, mean)
        self.squares.index_copy_(0, index, (self.squares[index] + added).clamp(0, FINITE))

    def variances(self) -> Tensor:
        """Return the variance of the losses of each sample, (N,) float32; 0 with fewer than two losses."""
        return self.squares / (self.seen - 1).clamp(min=1)


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

    _: KW_ONLY
    at_epoch: int = 4

    def __post_init__(self, scores: Tensor | None) -> None:
        self.at_epoch = integer("at_epoch", self.at_epoch, at_least=2)
        super().__post_init__(scores)


@dataclass(eq=False)
class COWERAGE(StaticScored):
    """Sampler that keeps as many samples of each stratum of the loss early in an earlier run on all samples: easy,
    medium and hard ones (Azeemi et al. 2022).

    The samples are ordered by loss and cut into strata of equal size. Within a stratum, they are drawn at random.

    Implementation choice: the losses are those of training, which cost nothing. Azeemi et al. use the word error rate
    of speech; the size of their strata was not seen in the source.

    Args:
        at_epoch: number of epochs on all samples, of which the losses of the last are used, at least 1. Default: 2.
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

    _: KW_ONLY
    at_epoch: int = 2
    strata: int = 10

    def __post_init__(self, scores: Tensor | None) -> None:
        self.at_epoch = integer("at_epoch", self.at_epoch, at_least=1)
        self.strata = integer("strata", self.strata, at_least=1)
        super().__post_init__(scores)

    def priorities(self, scores: Tensor) -> Tensor:
        """Return minus the place of each sample in a random order of its stratum; the first of all strata are kept."""
        random = self.random_generator("strata")
        shuffled = torch.randperm(self.num_samples, generator=random)
        order = shuffled[scores[shuffled].argsort(stable=True)]  # equal losses in random order
        places = [torch.randperm(len(each), generator=random) for each in order.tensor_split(self.strata)]
        return torch.empty(self.num_samples, dtype=torch.float32).index_copy_(0, order, -torch.cat(places).float())
