"""Tables of numbers that scikit-learn includes or generates: two to classify, two for a regression.

All are standardised by the training part, which fills whole batches of 32, as does half of it: runs on half of the
samples cost half as much.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GENERATED = 19_968  # rows of a generated table; half of them are the test part


Table = tuple[tuple[str, ...], Any, Any]  # classes, none of a regression; features and labels of both parts


def breast_cancer(_: Path) -> Table:
    """Return 569 measurements of tumours, malignant or benign (Wolberg et al. 1995)."""
    from sklearn.datasets import load_breast_cancer

    features, labels = load_breast_cancer(return_X_y=True)
    return _classification(features, labels, ("malignant", "benign"), train_size=448)


def hastie(_: Path) -> Table:
    """Return ten Gaussian features; the class says whether their squares add up to more than 9.34 (Hastie et al. 2009,
    10.2)."""
    from sklearn.datasets import make_hastie_10_2

    features, sign = make_hastie_10_2(GENERATED, random_state=0)
    return _classification(features, sign > 0, ("inside", "outside"), train_size=GENERATED // 2)


def diabetes(_: Path) -> Table:
    """Return ten measurements of 442 patients, and how their diabetes progressed in a year (Efron et al. 2004)."""
    from sklearn.datasets import load_diabetes

    features, targets = load_diabetes(return_X_y=True)
    return _regression(features, targets, train_size=320)


def friedman(_: Path) -> Table:
    """Return a function of five of ten uniform features, with noise of variance 1 (Friedman 1991, problem 1)."""
    from sklearn.datasets import make_friedman1

    features, targets = make_friedman1(GENERATED, noise=1.0, random_state=0)
    return _regression(features, targets, train_size=GENERATED // 2)


def _classification(features: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], train_size: int) -> Table:
    train, test = _split(features, labels.astype(np.int64), train_size=train_size, stratify=labels)
    return classes, train, test


def _regression(features: np.ndarray, targets: np.ndarray, train_size: int) -> Table:
    (train, train_targets), (test, test_targets) = _split(features, targets.astype(np.float32), train_size=train_size)
    mean, std = train_targets.mean(), train_targets.std(correction=0)
    return (), (train, (train_targets - mean) / std), (test, (test_targets - mean) / std)


def _split(features: np.ndarray, labels: np.ndarray, **options: Any) -> list[tuple[Tensor, Tensor]]:
    """Return the training and the test part, drawn at random but always the same."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    train, test, *both_labels = train_test_split(features, labels, random_state=0, **options)
    scaler = StandardScaler().fit(train)
    rows = (torch.as_tensor(scaler.transform(part), dtype=torch.float32) for part in (train, test))
    return list(zip(rows, map(torch.from_numpy, both_labels), strict=True))
