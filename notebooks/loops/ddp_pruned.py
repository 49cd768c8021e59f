"""Data-parallel training: `torchrun --standalone --nproc-per-node 2 ddp.py`."""

import gc
import time

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from dynprune_lib import UCB, indexed

EPOCHS, BATCH = 10, 8

dist.init_process_group("gloo")
images, labels = load_digits(return_X_y=True)
images, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
train_set = TensorDataset(images[:1400], labels[:1400])
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))
model = DistributedDataParallel(net)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

sampler = UCB(len(train_set), prune_rate=0.5)
loader = DataLoader(indexed(train_set), batch_size=BATCH, sampler=sampler, drop_last=True)
steps, started = 0, time.perf_counter()
for epoch in range(EPOCHS):
    sampler.set_epoch(epoch)
    for index, (x, y) in loader:
        loss = sampler.update(index, F.cross_entropy(model(x), y, reduction="none"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
seconds = time.perf_counter() - started

accuracy = (net(images[1400:]).argmax(1) == labels[1400:]).float().mean().item()
if dist.get_rank() == 0:
    print(f"{steps} steps in {seconds:.1f} s, test accuracy {accuracy:.1%}")
del model
gc.collect()  # collect the reference cycles of DDP: its threads abort a process that exits before them
dist.destroy_process_group()
