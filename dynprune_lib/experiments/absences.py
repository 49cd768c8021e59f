"""How long samples are left out: how stale the scores of a dynamic method can be."""

from typing import Any

import torch
from torch import Tensor

from dynprune_lib.experiments.records import LeftOut


class Absences:
    """Count how long samples are left out, and how alike the left-out sets of consecutive epochs are.

    Args:
        num_samples: size of the training set, N.

    Example:
        >>> absences = Absences(4)
        >>> for subset in ([0, 1], [0, 2], [0, 1]):
        ...     absences.count(torch.tensor(subset))
        >>> absences.summary()
        LeftOut(overlap=[None, 0.5, 0.5], wanted=[None, None, None], median_absence=1, longest_absence=3)
    """

    def __init__(self, num_samples: int) -> None:
        self.current = torch.zeros(num_samples, dtype=torch.int32)  # epochs since a sample was selected
        self.longest = torch.zeros(num_samples, dtype=torch.int32)
        self.overlap: list[float | None] = []
        self.wanted: list[float | None] = []

    def count(self, subset: Tensor, wanted: float | None = None) -> None:
        """Count an epoch.

        Args:
            subset: (num_kept,) int64 on the CPU, the samples that the epoch selects.
            wanted: see `PruningSampler.wanted`. Default: None.
        """
        self.wanted.append(wanted if wanted is None else round(wanted, 4))
        left_out = torch.ones_like(self.current)
        left_out[subset] = 0
        number, again = int(left_out.sum()), int(left_out[self.current > 0].sum())
        self.overlap.append(round(again / number, 4) if number and self.overlap else None)
        self.current = (self.current + 1) * left_out
        self.longest = torch.maximum(self.longest, self.current)

    def summary(self) -> LeftOut:
        """Return what is kept in the record of a run."""
        median, longest = int(self.longest.median()), int(self.longest.max())
        return LeftOut(overlap=self.overlap, wanted=self.wanted, median_absence=median, longest_absence=longest)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values."""
        return vars(self) | {"overlap": list(self.overlap), "wanted": list(self.wanted)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        vars(self).update(state)
