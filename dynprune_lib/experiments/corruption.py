"""What runs train on: data sets with samples held out, rare classes or wrong labels, made from whole ones."""

from dataclasses import replace

import torch

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.data import Split, TensorData, hold_out
from dynprune_lib.experiments.runs import RunSpec


def data_of(data: TensorData, spec: RunSpec) -> TensorData:
    """Return the data that a run trains on: some samples held out, some classes rare, some labels wrong."""
    if spec.validation:
        data = hold_out(data, spec.validation)
    if spec.imbalance > 1:
        data = make_imbalanced(data, spec.imbalance, spec.seed)
    if spec.label_noise:
        data = add_label_noise(data, spec.label_noise, spec.seed)
    return data


def make_imbalanced(data: TensorData, ratio: float, seed: int) -> TensorData:
    """Return the data set with fewer training samples of each later class; the test part stays as it is.

    The sizes of the classes, in the order of the labels, form a geometric sequence; `ratio` is that of the first to the
    last. Which samples are kept is random, by `seed`.

    Raises:
        SpecError: a class would have no sample, or there is no other class.

    References:
        Cui et al., CVPR 2019, "Class-Balanced Loss Based on Effective Number of Samples", arXiv:1901.05555.
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
    """Return the data set with another label, at random, for a `fraction` of the training samples (symmetric noise).

    They are marked as `wrong`. The test part keeps its labels.

    Raises:
        SpecError: there is no other label.
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
