"""Loops of one's own with accelerate, in one process; `test_two_processes.py` has the others."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from dynprune_lib import RS2, UCB, indexed

accelerate = pytest.importorskip("accelerate")

pytestmark = pytest.mark.slow

SAMPLES, BATCH = 64, 8
X = torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(X, (X[:, 0] > 0).long())


def prepare(sampler, prepare_loader=True, workers=0):
    accelerator = accelerate.Accelerator(cpu=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 2)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    loader = DataLoader(indexed(DATA), batch_size=BATCH, sampler=sampler, num_workers=workers)
    return accelerator, model, optimizer, accelerator.prepare(loader) if prepare_loader else loader


def train(accelerator, model, optimizer, batches, sampler, steps=None):
    seen = []
    for index, (x, y) in batches:
        losses = F.cross_entropy(model(x), y, reduction="none")
        optimizer.zero_grad()
        accelerator.backward(sampler.update(index, losses))
        optimizer.step()
        seen.append(index.tolist())
        if len(seen) == steps:
            break
    return seen


@pytest.mark.parametrize("prepare_loader", [True, False])
def test_a_loop_prepared_or_not(prepare_loader):
    sampler = UCB(SAMPLES, 0.5, warm_up=1)
    *parts, loader = prepare(sampler, prepare_loader)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(sampler|epoch).*")
        for epoch in range(4):
            sampler.set_epoch(epoch)
            assert len(train(*parts, loader, sampler)) == len(loader) == (4 if epoch else 8)
    assert torch.isfinite(sampler.memory["mean"]).all()


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.full)])
def test_the_loop_of_the_guide_resumes_in_the_middle_of_an_epoch(workers):
    def run(sampler, epochs, stop=None):
        *parts, loader = prepare(sampler.view(), workers=workers)
        batches = []
        for epoch in range(sampler.epoch, epochs):
            sampler.set_epoch(epoch)
            batches += train(*parts, loader, sampler, stop if epoch == epochs - 1 else None)
        return batches

    whole, first, second = (RS2(SAMPLES, 0.5, shard=False) for _ in range(3))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(sampler|epoch).*")
        expected = run(whole, epochs=4)
        begun = run(first, epochs=2, stop=2)
        second.load_state_dict(first.state_dict(), skip_trained=True)
        assert begun + run(second, epochs=4) == expected
    assert second.epoch == 3


def test_an_epoch_that_goes_back_is_told():
    sampler = RS2(SAMPLES, 0.5)
    *parts, loader = prepare(sampler)
    sampler.set_epoch(3)
    with pytest.warns(UserWarning, match=r"the epoch goes back from 3 to 0: .*so pass it sampler=sampler\.view\(\)"):
        train(*parts, loader, sampler)
