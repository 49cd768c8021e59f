"""How much pruning has saved so far: what every sampler counts, and its report."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dynprune_lib import distributed


@dataclass(frozen=True)
class SavingsReport:
    """What a sampler has saved so far, on all ranks together. As a string, it is a sentence.

    Args:
        passes_made: number of sample passes that were trained on.
        passes_left_out: number of sample passes that training on all samples would have made in addition.
        share_left_out: fraction of the passes of that training which were left out, in [0, 1].
        never_selected: fraction of the samples that no epoch so far has selected, in [0, 1].
        overlap: fraction of the samples left out of the last pruned epoch that were also left out of the epoch before
            it, in [0, 1]; None if there are no two pruned epochs in a row.
    """

    passes_made: int
    passes_left_out: int
    share_left_out: float
    never_selected: float
    overlap: float | None

    def __str__(self) -> str:
        text = (
            f"{self.passes_made:,} sample passes made, {self.passes_left_out:,} left out ({self.share_left_out:.1%});"
            f" {self.never_selected:.1%} of the samples never selected"
        )
        if self.overlap is not None:
            text += f"; {self.overlap:.1%} of the samples last left out were left out of the epoch before, too"
        return text


class CountsSavings:
    """Mixin that counts the sample passes of a run, and marks the samples that an epoch has selected.

    It needs 1 byte per sample. Passes are counted from the batches passed to `update` or `mean_loss`.
    """

    num_samples: int
    _num_trained: int  # samples of the current epoch that this process has trained on
    _selected: Tensor | None

    @property
    def _subset(self) -> Tensor:
        raise NotImplementedError

    def report(self) -> SavingsReport:
        """Return how much was saved so far. It can be called at any moment, and on any rank.

        The seconds saved are not part of it: the sampler does not see the forward and backward passes.

        Example:
            >>> from dynprune_lib import RS2
            >>> sampler = RS2(100, prune_rate=0.75)
            >>> for epoch in range(3):
            ...     sampler.set_epoch(epoch)
            ...     for index in sampler.indices().split(5):
            ...         loss = sampler.update(index, torch.rand(len(index)))
            >>> report = sampler.report()  # also a sentence: print(report)
            >>> report.passes_made, report.passes_left_out, report.never_selected, report.overlap
            (75, 225, 0.25, 0.667)
        """
        made, left_out = map(round, self._passes())
        self._mark_selected()
        return SavingsReport(
            passes_made=made,
            passes_left_out=left_out,
            share_left_out=left_out / max(1, made + left_out),
            never_selected=int((~self._was_selected).sum()) / self.num_samples,
            overlap=self._overlap,
        )

    def _reset_savings(self) -> None:
        self._passes_made: int = 0  # on all ranks, in the epochs before this one
        self._passes_left_out: float = 0.0
        self._overlap: float | None = None
        self._was_selected: Tensor = torch.zeros(self.num_samples, dtype=torch.bool)

    def _passes(self) -> tuple[int, float]:
        """Return the numbers of passes made and left out, with those of this epoch."""
        trained = self._num_trained * distributed.world_size()
        if trained == 0:
            return self._passes_made, self._passes_left_out
        # in proportion to the part of the epoch that was trained on, so that an epoch may be resumed or cut short
        left_out_per_pass = self.num_samples / len(self._subset) - 1
        return self._passes_made + trained, self._passes_left_out + trained * left_out_per_pass

    def _mark_selected(self) -> None:
        if self._num_trained:
            self._was_selected[self._subset.long()] = True

    def _end_epoch(self) -> None:
        self._passes_made, self._passes_left_out = self._passes()
        self._mark_selected()

    def _compare_with(self, before: Tensor | None) -> None:
        """Compare the subset of this epoch with that of the epoch before, if both are known and leave samples out."""
        after, everything = self._selected, self.num_samples
        if before is None or after is None or everything in (len(before), len(after)):
            return
        selected = torch.zeros(everything, dtype=torch.bool)
        selected[before.long()] = selected[after.long()] = True
        self._overlap = (everything - int(selected.sum())) / (everything - len(after))

    def _savings_state(self) -> dict[str, Any]:
        self._mark_selected()
        return {
            "made": self._passes_made,
            "left_out": self._passes_left_out,
            "overlap": self._overlap,
            "selected": self._was_selected.clone(),
        }

    def _load_savings(self, state: dict[str, Any] | None) -> None:
        if state is None:  # of an older version: count from here
            self._reset_savings()
            return
        self._passes_made, self._passes_left_out = int(state["made"]), float(state["left_out"])
        self._overlap = state["overlap"]
        self._was_selected = state["selected"].cpu().clone()
