"""Data sets with held-out samples, rare classes or wrong labels."""

from dataclasses import replace

import torch

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.data import Split, TensorData, hold_out
from dynprune_lib.experiments.runs import RunSpec


def data_of(data: TensorData, spec: RunSpec) -> TensorData:
    """Return the data that a run trains on."""
    if spec.validation:
        data = hold_out(data, spec.validation)
    if spec.imbalance > 1:
        data = make_imbalanced(data, spec.imbalance, spec.seed)
    if spec.label_noise:
        data = add_label_noise(data, spec.label_noise, spec.seed)
    return data


def make_imbalanced(data: TensorData, ratio: float, seed: int) -> TensorData:
    """Return the data set with fewer training samples of each later class, drawn by `seed`.

    The sizes of the classes form a geometric sequence; `ratio` is that of the first to the last (Cui et al., CVPR 2019,
    arXiv:1901.05555).
    """
    labels, classes = data.train.labels.cpu(), len(data.classes)
    if classes < 2:
        raise SpecError(f"imbalance is {ratio}: {data.name} has no second class, use 1")
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
    """Return the data set with another random label for a `fraction` of the training samples, marked as `wrong`."""
    labels, classes = data.train.labels, len(data.classes)
    if classes < 2:
        raise SpecError(f"label_noise is {fraction}: {data.name} has no second class, use 0")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(labels), generator=generator)[: round(fraction * len(labels))]
    steps = torch.randint(1, classes, (len(chosen),), generator=generator)
    noisy = labels.cpu().clone()
    noisy[chosen] = (noisy[chosen] + steps) % classes
    wrong = torch.zeros(len(labels), dtype=torch.bool)
    wrong[chosen] = True
    train = Split(data.train.inputs, noisy.to(data.device))
    return replace(data, train=train, wrong=wrong)
