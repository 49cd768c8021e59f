"""The base install has PyTorch and NumPy, and the samplers need no more."""

import torch
from torch.utils.data import DataLoader, TensorDataset

from dynprune_lib import SAMPLERS, UCB, indexed, per_sample, unreduced
from dynprune_lib.scores import SCORES

x = torch.randn(64, 3)
train_set, model = TensorDataset(x, (x[:, 0] > 0).long()), torch.nn.Linear(3, 2)
criterion = unreduced(torch.nn.CrossEntropyLoss())
sampler = UCB(len(train_set), prune_rate=0.5, anneal_from=3)
loader = DataLoader(indexed(train_set), batch_size=8, sampler=sampler)
for epoch in range(4):
    sampler.set_epoch(epoch)
    for index, (inputs, targets) in loader:
        sampler.update(index, per_sample(criterion(model(inputs), targets))).backward()
UCB(64, prune_rate=0.5, anneal_from=3).load_state_dict(sampler.state_dict())
assert len(SAMPLERS) > 20, SAMPLERS
assert "el2n" in SCORES, SCORES
print(sampler.report())
