"""Loops of one's own with accelerate, in one process; `test_two_processes.py` has the others."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from dynprune_lib import RS2, indexed

accelerate = pytest.importorskip("accelerate")

pytestmark = pytest.mark.slow

SAMPLES, BATCH = 64, 8
X = torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(X, (X[:, 0] > 0).long())


def run(sampler, epochs, stop=None, is_prepared=True, has_view=True, **options):
    """Train to an epoch, or to so many batches of the last one, and return the samples of each batch."""
    accelerator, batches = accelerate.Accelerator(cpu=True), []
    model = torch.nn.Linear(4, 2)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    loader = DataLoader(indexed(DATA), BATCH, sampler=sampler.view() if has_view else sampler, **options)
    loader = accelerator.prepare(loader) if is_prepared else loader
    for epoch in range(sampler.epoch, epochs):
        sampler.set_epoch(epoch)
        assert len(loader) == len(sampler) // BATCH
        for number, (index, (x, y)) in enumerate(loader):
            if epoch == epochs - 1 and number == stop:
                break
            optimizer.zero_grad()
            accelerator.backward(sampler.update(index, F.cross_entropy(model(x), y, reduction="none")))
            optimizer.step()
            batches.append(index.tolist())
    return batches


@pytest.mark.parametrize(
    "options",
    [{}, {"is_prepared": False}, {"has_view": False}, pytest.param({"num_workers": 2}, marks=pytest.mark.full)],
)
def test_the_loop_of_the_guide_resumes_in_the_middle_of_an_epoch(options):
    whole, first, second = (RS2(SAMPLES, 0.5, warm_up=1, shard=False) for _ in range(3))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(sampler|epoch).*")
        expected = run(whole, epochs=4, **options)
        assert len(expected) == 8 + 3 * 4
        begun = run(first, epochs=2, stop=2, **options)
        if options.get("has_view", True):  # without it, accelerate counts the epochs anew
            second.load_state_dict(first.state_dict(), skip_trained=True)
            assert begun + run(second, epochs=4, **options) == expected


def test_an_epoch_that_goes_back_is_told():
    sampler = RS2(SAMPLES, 0.5)
    sampler.set_epoch(3)
    with pytest.warns(UserWarning, match=r"the epoch goes back from 3 to 0: .*so pass it sampler=sampler\.view\(\)"):
        run(sampler, epochs=4, has_view=False)
