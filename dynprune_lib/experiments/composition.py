"""What the selected subsets consist of, where the data set has wrong labels or rare classes."""

from typing import Any

import torch
from torch import Tensor

from dynprune_lib.experiments.data import TensorData
from dynprune_lib.experiments.records import Composition


class CompositionCounter:
    """Count the wrong labels and the samples of each class in the subset of every epoch.

    Args:
        data: the data set that is trained on.

    Example:
        >>> from dynprune_lib.experiments.corruption import add_label_noise
        >>> from dynprune_lib.experiments.data import load_dataset
        >>> noisy = add_label_noise(load_dataset("digits"), 0.2, seed=0)
        >>> counter = CompositionCounter(noisy)
        >>> counter.count(noisy.wrong.nonzero().flatten())  # an epoch that selects them all, and nothing else
        >>> counter.summary().wrong_labels
        [287]
    """

    def __init__(self, data: TensorData) -> None:
        self._labels = data.train.labels.cpu()
        self._wrong = torch.zeros(len(self._labels), dtype=torch.bool) if data.wrong is None else data.wrong
        self._num_classes = len(data.classes)
        self.wrong_labels: list[int] = []
        self.of_each_class: list[list[int]] = []

    def count(self, subset: Tensor) -> None:
        """Count an epoch that selects the samples `subset`, int64 on the CPU."""
        self.wrong_labels.append(int(self._wrong[subset].sum()))
        self.of_each_class.append(torch.bincount(self._labels[subset], minlength=self._num_classes).tolist())

    def summary(self) -> Composition:
        """Return what is kept in the record of a run."""
        return Composition(wrong_labels=self.wrong_labels, of_each_class=self.of_each_class)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"wrong_labels": list(self.wrong_labels), "of_each_class": list(self.of_each_class)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        self.wrong_labels, self.of_each_class = list(state["wrong_labels"]), list(state["of_each_class"])
