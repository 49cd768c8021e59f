"""Warnings for training loops that misuse a sampler in a way that raises no error."""

import warnings
from dataclasses import dataclass

from torch import Tensor

TOLD_BELOW = 0.6  # fraction of an epoch that was trained on; a loader that shards again leaves a half or less


@dataclass
class UsageMonitor:
    """Record of how a training loop has used its sampler since the last `set_epoch`.

    These mistakes would otherwise go unnoticed: `set_epoch` is never called, so every epoch has the same samples, or it
    goes backwards; the loader uses other samples than the sampler selects, or only a part of them; the recorded scores
    are not finite, or are losses where the sampler is defined for another score.
    """

    has_started: bool = False  # by `set_epoch`: before, no epoch can have gone wrong
    samples_requested: bool = False
    scores_recorded: bool = False
    has_warned: bool = False  # of a mistake that a loop repeats every epoch
    resumed_epoch: int | None = None  # of which another process may have trained on a part
    num_scores: int = 0
    num_finite: Tensor | None = None  # a tensor on the device of the scores: an int would synchronise the device

    def count(self, usable: Tensor) -> None:
        """Count a batch of recorded scores, of which `usable` (B,) bool marks the finite ones."""
        finite = usable.sum()
        self.num_scores += len(usable)
        self.num_finite = finite if self.num_finite is None else self.num_finite.to(finite.device).add_(finite)
        self.scores_recorded = True

    def start_epoch(self, is_other: bool) -> None:
        """Forget which calls were made in the previous epoch.

        Args:
            is_other: whether it had another number. A loader may have requested the samples of this epoch already.
        """
        self.samples_requested &= not is_other and not self.scores_recorded
        self.scores_recorded, self.has_started = False, True

    def reset_counts(self) -> None:
        """Forget the recorded scores."""
        self.num_scores, self.num_finite = 0, None

    def warn_of_losses(self, sampler: str, required_score: str | None) -> None:
        """Warn of losses in place of the score that a sampler is defined for."""
        if required_score not in (None, "loss") and not self.has_warned:
            self.has_warned = True
            warnings.warn(
                f"{sampler} is defined for the score {required_score}, but update() was called without scores, so it"
                " selects by the losses: pass scores=..., for example of dynprune_lib.scores",
                stacklevel=3,
            )

    def warn_of_repeated_epoch(self, epoch: int) -> None:
        """Warn if an epoch is iterated over again after scores were recorded in it."""
        if self.scores_recorded and not self.has_warned:
            self.has_warned = True
            warnings.warn(
                f"set_epoch() was not called after epoch {epoch}, so the same samples are repeated in the same order:"
                " call sampler.set_epoch(epoch) at the start of every epoch",
                stacklevel=3,
            )

    def warn_of_return(self, epoch: int, new_epoch: int) -> None:
        """Warn if the epochs go backwards."""
        if new_epoch < epoch and not self.has_warned:
            self.has_warned = True
            warnings.warn(
                f"the epoch goes back from {epoch} to {new_epoch}: a loader prepared by accelerate counts the epochs"
                " itself, so call loader.set_epoch(epoch) instead of sampler.set_epoch(epoch); for another run, make"
                " another sampler",
                stacklevel=3,
            )

    def warn_of_past_epoch(self, epoch: int, num_trained: int, num_samples: int) -> None:
        """Warn of what went wrong in an epoch that is over.

        Args:
            epoch: its number.
            num_trained: number of samples of this process that were trained on.
            num_samples: number of samples that this process had.
        """
        not_finite = self.num_scores - (0 if self.num_finite is None else int(self.num_finite))
        self.reset_counts()
        if not_finite:
            warnings.warn(f"{not_finite} scores of epoch {epoch} were not finite and were not recorded", stacklevel=3)
        if epoch == self.resumed_epoch or self.has_warned:
            return
        if self.has_started and self.scores_recorded and not self.samples_requested:
            self.has_warned = True
            warnings.warn(
                f"scores of epoch {epoch} were recorded, but the samples of this epoch were never requested from the"
                " sampler: pass it to the DataLoader as `sampler=` and do not wrap it (a DistributedSampler around it"
                " would select other samples)",
                stacklevel=3,
            )
        elif 0 < num_trained < TOLD_BELOW * num_samples:
            self.has_warned = True
            warnings.warn(
                f"only {num_trained} of the {num_samples} samples of epoch {epoch} were trained on: if the epoch was"
                " not cut short on purpose, the loader shards or limits what the sampler has already selected",
                stacklevel=3,
            )
