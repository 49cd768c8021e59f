"""How much pruning has saved so far: what every sampler counts, and its report."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dynprune_lib.samplers.selection import none_of


@dataclass(frozen=True)
class SavingsReport:
    """What a sampler has saved so far, in all processes together. As a string, it is a sentence.

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


class Savings:
    """Counts of the sample passes of a run, and marks of the samples that an epoch has selected, 1 byte each."""

    def __init__(self, num_samples: int, state: dict[str, Any] | None = None) -> None:
        self.num_samples, state = num_samples, state or {}
        self.made: int = int(state.get("made", 0))
        self.left_out: float = float(state.get("left_out", 0.0))
        self.overlap: float | None = state.get("overlap")
        selected = state.get("selected")
        self.selected = none_of(num_samples) if selected is None else selected.cpu().clone()

    def count(self, passes: int, subset: Tensor) -> None:
        """Count passes over an epoch's subset; what they left out follows in proportion, for an epoch cut short."""
        if passes:
            self.made += passes
            self.left_out += passes * (self.num_samples / len(subset) - 1)
            self.mark(subset)

    def mark(self, subset: Tensor) -> None:
        """Mark the samples of an epoch as selected."""
        self.selected[subset.long()] = True

    def compare(self, before: Tensor | None, after: Tensor | None) -> None:
        """Compare the subsets of two epochs in a row, if both are known and leave samples out."""
        if before is None or after is None or self.num_samples in (len(before), len(after)):
            return
        selected = none_of(self.num_samples)
        selected[before.long()] = selected[after.long()] = True
        self.overlap = (self.num_samples - int(selected.sum())) / (self.num_samples - len(after))

    def state(self) -> dict[str, Any]:
        """Return the counts, in copies."""
        counts = {"made": self.made, "left_out": self.left_out, "overlap": self.overlap}
        return counts | {"selected": self.selected.clone()}

    def report(self) -> SavingsReport:
        """Return the counts for users."""
        made, left_out = round(self.made), round(self.left_out)
        never_selected = int((~self.selected).sum()) / self.num_samples
        return SavingsReport(made, left_out, left_out / max(1, made + left_out), never_selected, self.overlap)
