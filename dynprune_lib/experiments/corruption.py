"""Data sets with wrong labels or with rare classes, made from clean and balanced ones."""

from dataclasses import replace

import torch

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.data import Split, TensorData


def make_imbalanced(data: TensorData, ratio: float, seed: int) -> TensorData:
    """Return the data set with fewer training samples of each later class; the test part stays as it is.

    The sizes of the classes, in the order of the labels, form a geometric sequence. Which samples are kept is random.

    Args:
        data: the data set.
        ratio: size of the first class over that of the last, at least 1.
        seed: of the draw.

    Raises:
        SpecError: a class would have no sample, or there is no other class.

    References:
        Cui et al., CVPR 2019, "Class-Balanced Loss Based on Effective Number of Samples", arXiv:1901.05555.

    Example:
        >>> from dynprune_lib.experiments.data import load_dataset
        >>> rare = make_imbalanced(load_dataset("digits"), ratio=10, seed=0)
        >>> torch.bincount(rare.train.labels).tolist()
        [139, 108, 83, 65, 50, 39, 30, 23, 18, 14]
    """
    labels, classes = data.train.labels.cpu(), len(data.classes)
    if classes < 2:
        raise SpecError(f"imbalance is {ratio}: {data.name} has no other class")
    smallest = int(torch.bincount(labels, minlength=classes).min())
    shares = ratio ** -(torch.arange(classes, dtype=torch.float64) / (classes - 1))  # relative to the first class
    sizes = (smallest * shares).round().long()
    if sizes[-1] == 0:
        raise SpecError(f"imbalance is {ratio}: the last class of {data.name} has no sample left, lower it")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    shuffled = labels[order]
    kept = torch.cat([order[shuffled == label][:size] for label, size in enumerate(sizes.tolist())])
    kept = kept.sort().values.to(data.device)
    return replace(data, train=Split(data.train.inputs[kept], data.train.labels[kept]))


def add_label_noise(data: TensorData, fraction: float, seed: int) -> TensorData:
    """Return the data set with a random other label for a random part of the training samples (symmetric noise).

    Args:
        data: the data set.
        fraction: of the training labels that are replaced, in [0, 1).
        seed: of the draw.

    Returns:
        The data set, with `wrong` set. The test part has its own labels.

    Raises:
        SpecError: there is no other label.

    Example:
        >>> from dynprune_lib.experiments.data import load_dataset
        >>> digits = load_dataset("digits")
        >>> noisy = add_label_noise(digits, 0.2, seed=0)
        >>> int(noisy.wrong.sum()), noisy.wrong.equal(noisy.train.labels != digits.train.labels)
        (287, True)
    """
    labels, classes = data.train.labels, len(data.classes)
    if classes < 2:
        raise SpecError(f"label_noise is {fraction}: {data.name} has no other class")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(labels), generator=generator)[: round(fraction * len(labels))]
    steps = torch.randint(1, classes, (len(chosen),), generator=generator)
    noisy = labels.cpu().clone()
    noisy[chosen] = (noisy[chosen] + steps) % classes
    wrong = torch.zeros(len(labels), dtype=torch.bool)
    wrong[chosen] = True
    train = Split(data.train.inputs, noisy.to(data.device))
    return replace(data, train=train, wrong=wrong)
