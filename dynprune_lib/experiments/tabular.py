"""Tables of numbers that scikit-learn includes or generates: two to classify, two for a regression.

All are standardised by the training part, which fills whole batches of 32, as does half of it: runs on half of the
samples cost half as much.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

GENERATED = 19_968  # rows of a generated table; half of them are the test part


def _read(source: str, classes: tuple[str, ...], train_size: int, _: Path, **options: Any) -> tuple[Any, Any, Any]:
    """Return classes, none of a regression, and features and labels of both parts, drawn at random but always alike."""
    import sklearn.datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    features, targets = getattr(sklearn.datasets, source)(**options)
    labels = (targets > 0).astype(np.int64) if classes else targets.astype(np.float32)
    split: dict[str, Any] = {"random_state": 0, "train_size": train_size, "stratify": labels if classes else None}
    train, test, *both = train_test_split(features, labels, **split)
    first, second = (torch.from_numpy(part) for part in both)
    scaler = StandardScaler().fit(train)
    rows = [torch.as_tensor(scaler.transform(part), dtype=torch.float32) for part in (train, test)]
    if not classes:
        mean, std = first.mean(), first.std(correction=0)
        first, second = (first - mean) / std, (second - mean) / std
    return classes, (rows[0], first), (rows[1], second)


# name -> its title, and how it is read
TABLES: dict[str, tuple[str, Callable[[Path], tuple[Any, Any, Any]]]] = {
    # measurements of 569 tumours (Wolberg et al. 1995)
    "breast_cancer": (
        "breast cancer",
        partial(_read, "load_breast_cancer", ("malignant", "benign"), 448, return_X_y=True),
    ),
    # ten Gaussian features: do their squares add up to more than 9.34? (Hastie et al. 2009, 10.2)
    "hastie": (
        "Hastie 10.2",
        partial(_read, "make_hastie_10_2", ("inside", "outside"), GENERATED // 2, n_samples=GENERATED, random_state=0),
    ),
    # ten measurements of 442 patients, and how their diabetes progressed in a year (Efron et al. 2004)
    "diabetes": ("diabetes", partial(_read, "load_diabetes", (), 320, return_X_y=True)),
    # a function of five of ten uniform features, with noise of variance 1 (Friedman 1991, problem 1)
    "friedman": (
        "Friedman 1",
        partial(_read, "make_friedman1", (), GENERATED // 2, n_samples=GENERATED, noise=1.0, random_state=0),
    ),
}
