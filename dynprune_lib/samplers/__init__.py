"""Samplers that select which samples each epoch trains on, one file per method.

All samplers are subclasses of `PruningSampler`, which documents the arguments and methods that they share.

An *implementation choice* is a detail that the cited paper leaves open, or in which a sampler differs from the paper,
for example so that all methods can be compared at the same number of samples per epoch.

Writing your own sampler
------------------------

Subclass `PruningSampler` and override

- `select`, which returns the `num_kept` indices to keep (use `self.random_generator(...)` for random draws);
- `record`, which updates what the sampler remembers with the scores of a batch;
- `per_sample_state`, which names the tensors of shape (N,) that it remembers. They are saved and loaded with the
  sampler, moved to the device of the scores and gathered across ranks.

>>> from dataclasses import dataclass
>>> import torch
>>> from dynprune_lib.samplers import PruningSampler
>>> @dataclass(eq=False)
... class HighestLoss(PruningSampler):
...     def __post_init__(self):
...         super().__post_init__()
...         self.last = torch.full((self.num_samples,), torch.inf)  # no loss yet: kept first
...
...     def select(self):
...         return self.last.topk(self.num_kept).indices
...
...     def record(self, index, scores, usable):
...         self.last[index] = torch.where(usable, scores, self.last[index])
...
...     def per_sample_state(self):
...         return {"last": self.last}
>>> sampler = HighestLoss(4, prune_rate=0.5)
>>> sampler.observe(torch.arange(4), torch.tensor([0.1, 0.4, 0.3, 0.2]))
>>> sampler.set_epoch(1)
>>> sampler.subset().tolist()
[1, 2]

Settings are dataclass fields, and `__post_init__` checks them. Wherever a sampler is named, a class of your own is
"module:Class": see `sampler_class`.
"""

from dynprune_lib.samplers.bandits import Bandit
from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.cautious_greedy import CautiousGreedy
from dynprune_lib.samplers.dynamic_el2n import DynamicEL2N
from dynprune_lib.samplers.early_losses import CAT, COWERAGE
from dynprune_lib.samplers.early_stopping import InstanceEarlyStopping
from dynprune_lib.samplers.epsilon_greedy import EpsilonGreedy
from dynprune_lib.samplers.epsilon_ucb import EpsilonUCB
from dynprune_lib.samplers.indexing import IndexedCollate, IndexedDataset, indexed, pruning_loader
from dynprune_lib.samplers.infobatch import InfoBatch
from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.molpeg import MolPeg
from dynprune_lib.samplers.order_dp import OrderDP
from dynprune_lib.samplers.own_length import OwnLength
from dynprune_lib.samplers.progressive_dropout import ProgressiveDropout
from dynprune_lib.samplers.proportional import Proportional
from dynprune_lib.samplers.rcap import RCAP
from dynprune_lib.samplers.registry import SAMPLERS, sampler_class
from dynprune_lib.samplers.repb import RePB
from dynprune_lib.samplers.rs2 import RS2
from dynprune_lib.samplers.savings import SavingsReport
from dynprune_lib.samplers.seta import SeTa
from dynprune_lib.samplers.static_scored import AUM, EL2N, FinalSubset, Forget, GraNd, StaticScored, WithoutGroup
from dynprune_lib.samplers.ucb import UCB
from dynprune_lib.samplers.ucb1 import UCB1
from dynprune_lib.samplers.uniform import DynamicRandom, Full, StaticRandom

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
    "MolPeg",
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
]
