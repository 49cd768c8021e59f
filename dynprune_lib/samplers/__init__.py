"""Samplers that select which samples each epoch trains on, one file per family.

All samplers are subclasses of `PruningSampler`, which documents the arguments and methods that they share.

An *implementation choice* is a detail that the cited paper leaves open, or in which a sampler differs from the paper,
for example to compare all methods at the same number of samples per epoch.

Writing your own sampler
------------------------

Subclass `PruningSampler`, and say in one place what it is called, which settings it has, and what it does:

- `name`, by which the command line, profiles and records know it;
- settings, each with its default and what is allowed, by `setting`;
- `remembers`, the tensors of shape (N,) that it keeps in `memory`. They are saved and loaded with the sampler, moved to
  the device of the scores and merged over processes;
- `select`, which returns the `num_kept` indices to keep (`self.random_generator(...)` is for random draws);
- `record`, which updates its memory with the scores of a batch.

>>> from dataclasses import dataclass
>>> import torch
>>> from dynprune_lib.samplers import Memory, PruningSampler, setting
>>> @dataclass(eq=False)
... class HardestButOne(PruningSampler):
...     name = "hardest-but-one"
...     remembers = {"last": Memory(torch.inf)}  # no loss yet: kept first
...     spared: int = setting(1, "[0, inf)")
...
...     def select(self):
...         return self.memory["last"].argsort(descending=True).roll(-self.spared)[: self.num_kept]
...
...     def record(self, index, scores, usable):
...         last = self.memory["last"]
...         last[index] = torch.where(usable, scores, last[index])
>>> sampler = HardestButOne(4, prune_rate=0.5)
>>> sampler.observe(torch.arange(4), torch.tensor([0.1, 0.4, 0.3, 0.2]))
>>> sampler.set_epoch(1)
>>> sampler.subset().tolist()
[2, 3]

Where a sampler is named in another process, a class of your own is "module:Class": see `sampler_class`.
"""

from dynprune_lib.samplers.bandits import UCB, UCB1, Bandit, CautiousGreedy, EpsilonGreedy, EpsilonUCB, Proportional
from dynprune_lib.samplers.baselines import RS2, DynamicRandom, Full, StaticRandom
from dynprune_lib.samplers.checks import setting
from dynprune_lib.samplers.loading import IndexedCollate, IndexedDataset, indexed, pruning_loader
from dynprune_lib.samplers.ranked import RCAP, DynamicEL2N, LastScore, MolPeg, OrderDP
from dynprune_lib.samplers.registry import SAMPLERS, sampler_class
from dynprune_lib.samplers.sampler import PruningSampler
from dynprune_lib.samplers.savings import SavingsReport
from dynprune_lib.samplers.states import Memory
from dynprune_lib.samplers.static import (
    AUM,
    CAT,
    COWERAGE,
    EL2N,
    AlwaysFirst,
    FinalSubset,
    Forget,
    GraNd,
    OfGroups,
    StaticScored,
    WithoutGroup,
)
from dynprune_lib.samplers.thresholds import (
    InfoBatch,
    InstanceEarlyStopping,
    OwnLength,
    ProgressiveDropout,
    RePB,
    SeTa,
)

__all__ = [
    "AUM",
    "CAT",
    "COWERAGE",
    "EL2N",
    "RCAP",
    "RS2",
    "SAMPLERS",
    "UCB",
    "UCB1",
    "AlwaysFirst",
    "Bandit",
    "CautiousGreedy",
    "DynamicEL2N",
    "DynamicRandom",
    "EpsilonGreedy",
    "EpsilonUCB",
    "FinalSubset",
    "Forget",
    "Full",
    "GraNd",
    "IndexedCollate",
    "IndexedDataset",
    "InfoBatch",
    "InstanceEarlyStopping",
    "LastScore",
    "Memory",
    "MolPeg",
    "OfGroups",
    "OrderDP",
    "OwnLength",
    "ProgressiveDropout",
    "Proportional",
    "PruningSampler",
    "RePB",
    "SavingsReport",
    "SeTa",
    "StaticRandom",
    "StaticScored",
    "WithoutGroup",
    "indexed",
    "pruning_loader",
    "sampler_class",
    "setting",
]
