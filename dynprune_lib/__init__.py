"""dynprune: train on the samples that still matter.

Dynamic data pruning skips part of the training set in every epoch. Its samplers decide which samples to skip from the
per-sample losses that training computes anyway (Raju, Daruwalla and Lipasti 2021, "Accelerating Deep Learning with
Dynamic Data Pruning", arXiv:2111.12621)::

    sampler = UCB(len(train_set), prune_rate=4 / 7, anneal_from=epochs - epochs // 8)
    loader = DataLoader(indexed(train_set), batch_size=128, sampler=sampler, drop_last=True)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for index, (x, y) in loader:
            losses = F.cross_entropy(model(x), y, reduction="none")
            loss = sampler.update(index, losses)  # records the losses and returns their mean
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from dynprune_lib.losses import per_sample, per_sample_cross_entropy, unreduced
    from dynprune_lib.samplers import (
        RCAP,
        RS2,
        SAMPLERS,
        UCB,
        UCB1,
        CautiousGreedy,
        DynamicEL2N,
        DynamicRandom,
        EpsilonGreedy,
        EpsilonUCB,
        Full,
        IndexedCollate,
        IndexedDataset,
        InfoBatch,
        InstanceEarlyStopping,
        MolPeg,
        OrderDP,
        ProgressiveDropout,
        Proportional,
        PruningSampler,
        RePB,
        SeTa,
        StaticRandom,
        StaticScored,
        indexed,
        pruning_loader,
    )

__all__ = [
    "RCAP",
    "RS2",
    "SAMPLERS",
    "UCB",
    "UCB1",
    "CautiousGreedy",
    "DynamicEL2N",
    "DynamicRandom",
    "EpsilonGreedy",
    "EpsilonUCB",
    "Full",
    "IndexedCollate",
    "IndexedDataset",
    "InfoBatch",
    "InstanceEarlyStopping",
    "MolPeg",
    "OrderDP",
    "ProgressiveDropout",
    "Proportional",
    "PruningSampler",
    "RePB",
    "SeTa",
    "StaticRandom",
    "StaticScored",
    "indexed",
    "per_sample",
    "per_sample_cross_entropy",
    "pruning_loader",
    "unreduced",
]


def __getattr__(name: str) -> Any:
    """Import the samplers on first use: importing PyTorch takes seconds, and a command must be interruptible."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dynprune_lib import losses, samplers

    return getattr(losses if hasattr(losses, name) else samplers, name)


def __dir__() -> list[str]:
    return __all__
