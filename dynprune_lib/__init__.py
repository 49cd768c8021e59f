"""dynprune: train on the samples that still matter.

Samplers that leave a share of the training set out of every epoch, chosen anew from the losses that you compute
anyway (Raju, Daruwalla, Lipasti 2021, "Accelerating Deep Learning with Dynamic Data Pruning", arXiv:2111.12621):

    sampler = UCB(len(train_set), prune_rate=0.5)
    loader = DataLoader(indexed(train_set), batch_size=128, sampler=sampler, drop_last=True)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for index, (x, y) in loader:
            losses = F.cross_entropy(model(x), y, reduction="none")
            loss = sampler.update(index, losses)  # records, returns the scalar to back-propagate
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynprune_lib.samplers import (
        RS2,
        SAMPLERS,
        UCB,
        DynamicEL2N,
        DynamicRandom,
        EpsilonGreedy,
        Full,
        InfoBatch,
        InstanceEarlyStopping,
        ProgressiveDropout,
        PruningSampler,
        SeTa,
        StaticRandom,
        StaticScored,
        TiltedRS2,
        indexed,
    )

__all__ = [
    "RS2",
    "SAMPLERS",
    "UCB",
    "DynamicEL2N",
    "DynamicRandom",
    "EpsilonGreedy",
    "Full",
    "InfoBatch",
    "InstanceEarlyStopping",
    "ProgressiveDropout",
    "PruningSampler",
    "SeTa",
    "StaticRandom",
    "StaticScored",
    "TiltedRS2",
    "indexed",
]


def __getattr__(name: str) -> Any:
    """Import the samplers when one is asked for: torch takes seconds, in which a command is to be interruptible."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dynprune_lib import samplers

    return getattr(samplers, name)


def __dir__() -> list[str]:
    return __all__
