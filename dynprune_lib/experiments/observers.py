"""Observers of a training: they watch which samples it selects and what it scores, and change nothing."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynprune_lib.experiments.data import TensorData
from dynprune_lib.experiments.records import Composition, LeftOut
from dynprune_lib.samplers import PruningSampler


class Observer:
    """Base class: it sees every epoch and every batch. Attributes without an underscore are its state."""

    def begin_epoch(self, subset: Tensor, wanted: float | None) -> None:
        """See the samples of an epoch, (num_kept,) int64 on the CPU, and `PruningSampler.wanted` if it selects anew."""

    def after_batch(self, index: Tensor, scores: Tensor) -> None:
        """See the scores of a batch, both (B,) on the device, without synchronising it."""

    def end_epoch(self, epoch: int, sampler: PruningSampler) -> None:
        """See the sampler after an epoch."""

    def summary(self) -> dict[str, Any]:
        """Return fields of the run's record."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is saved next to the record."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {name: value.clone() if isinstance(value, Tensor) else list(value) for name, value in state.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def _move_to(self, device: torch.device) -> None:
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and value.device != device:
                setattr(self, name, value.to(device))


class Selections(Observer):
    """How often samples are selected, how long they are left out, and how alike the left-out sets of two epochs are.

    Example:
        >>> selections = Selections(4)
        >>> for subset in ([0, 1], [0, 2], [0, 1]):
        ...     selections.begin_epoch(torch.tensor(subset), None)
        >>> selections.counts.tolist()
        [3, 2, 1, 0]
        >>> selections.summary()["left_out"]
        LeftOut(overlap=[None, 0.5, 0.5], wanted=[None, None, None], median_absence=1, longest_absence=3)
    """

    def __init__(self, num_samples: int) -> None:
        self.counts = torch.zeros(num_samples, dtype=torch.int32)
        self.absent = torch.zeros(num_samples, dtype=torch.int32)  # epochs since a sample was selected
        self.longest = torch.zeros(num_samples, dtype=torch.int32)
        self.overlap: list[float | None] = []
        self.wanted: list[float | None] = []

    def begin_epoch(self, subset: Tensor, wanted: float | None) -> None:
        self.counts[subset] += 1
        self.wanted.append(wanted if wanted is None else round(wanted, 4))
        left_out = torch.ones_like(self.absent)
        left_out[subset] = 0
        number, again = int(left_out.sum()), int(left_out[self.absent > 0].sum())
        self.overlap.append(round(again / number, 4) if number and self.overlap else None)
        self.absent = (self.absent + 1) * left_out
        self.longest = torch.maximum(self.longest, self.absent)

    def summary(self) -> dict[str, Any]:
        median, longest = int(self.longest.median()), int(self.longest.max())
        absence = {"median_absence": median, "longest_absence": longest}
        return {"left_out": LeftOut(overlap=self.overlap, wanted=self.wanted, **absence)}

    def arrays(self) -> dict[str, np.ndarray]:
        smallest = np.min_scalar_type(int(self.counts.max()))  # the smallest unsigned type that holds them
        return {"selections": self.counts.numpy().astype(smallest)}


class Contents(Observer):
    """How many wrong labels, and samples of each class, every subset has, where labels are wrong or classes rare."""

    def __init__(self, data: TensorData) -> None:
        self._labels = data.train.labels.cpu()
        self._wrong = torch.zeros(len(self._labels), dtype=torch.bool) if data.wrong is None else data.wrong
        self._num_classes = len(data.classes)
        self.wrong_labels: list[int] = []
        self.of_each_class: list[list[int]] = []

    def begin_epoch(self, subset: Tensor, wanted: float | None) -> None:  # noqa: ARG002
        self.wrong_labels.append(int(self._wrong[subset].sum()))
        self.of_each_class.append(torch.bincount(self._labels[subset], minlength=self._num_classes).tolist())

    def summary(self) -> dict[str, Any]:
        return {"composition": Composition(wrong_labels=self.wrong_labels, of_each_class=self.of_each_class)}


class Trace(Observer):
    """The mean scores of some samples, spread over the data set, after some epochs, counted from 1."""

    def __init__(self, samples: int, epochs: list[int]) -> None:
        self._samples, self._epochs = samples, epochs
        self.means: list[Tensor] = []

    def end_epoch(self, epoch: int, sampler: PruningSampler) -> None:
        if epoch + 1 in self._epochs:
            step = max(1, sampler.num_samples // self._samples)
            self.means.append(sampler.memory["mean"][::step][: self._samples].half().cpu())

    def arrays(self) -> dict[str, np.ndarray]:
        return {"trace": torch.stack(self.means).numpy()} if self.means else {}


class ForgettingEvents(Observer):
    """How often a model unlearns each sample: right when last seen, wrong now (Toneva et al., ICLR 2019,
    arXiv:1812.05159)."""

    def __init__(self, num_samples: int) -> None:
        self.events = torch.zeros(num_samples)
        self.is_right, self.was_learned = torch.zeros(2, num_samples, dtype=torch.bool)

    def after_batch(self, index: Tensor, scores: Tensor) -> None:
        self._move_to(scores.device)
        right, was_right = scores == 0, self.is_right[index]
        self.events[index] += was_right & ~right
        self.is_right[index] = right
        self.was_learned[index] |= right

    def scores(self) -> Tensor:
        """Return the number of forgetting events, (N,) float32; infinite for samples never classified correctly.

        They are the hardest samples, and `Forget` keeps the highest scores. Several re-implementations use 0, which
        prunes the hardest first.
        """
        return torch.where(self.was_learned, self.events, torch.inf)


class Losses(Observer):
    """The last loss of every sample, and how its losses vary."""

    def __init__(self, num_samples: int) -> None:
        # the number of losses, the last, their mean, and the sum of squared differences from it
        self.seen, self.last, self.mean, self.squares = torch.zeros(4, num_samples)

    def after_batch(self, index: Tensor, scores: Tensor) -> None:
        """Follow Welford's method, which is exact where the sum of squares is not."""
        self._move_to(scores.device)
        seen, difference = self.seen[index] + 1, scores - self.mean[index]
        mean = self.mean[index] + difference / seen
        self.squares[index] += difference * (scores - mean)
        self.seen[index], self.last[index], self.mean[index] = seen, scores, mean

    def variances(self) -> Tensor:
        """Return the variance of the losses of each sample, (N,) float32; 0 with fewer than two losses."""
        return self.squares / (self.seen - 1).clamp(min=1)
