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

from dynprune_lib.indexed import indexed
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
