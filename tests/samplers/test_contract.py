"""What every sampler of the library keeps. `check_sampler` itself is tested in `tests/test_testing.py`."""

import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib.samplers import SAMPLERS, OwnLength, StaticScored
from dynprune_lib.testing import check_sampler
from tests.samplers.conftest import ANY_SCORE, make_sampler

OWN_LENGTH = [name for name, sampler in SAMPLERS.items() if issubclass(sampler, OwnLength)]
CASES = [(name, {}) for name in SAMPLERS]
CASES += [(name, {"fill": False, "prune_rate": 0.1}) for name in OWN_LENGTH] + [("always-first", {"redraw": True})]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_sampler_keeps_the_contract(name, options):
    check_sampler(SAMPLERS[name], **options)


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(SAMPLERS)),
    num_samples=st.integers(1, 60),
    rate=st.floats(0, 0.99),
    seed=st.integers(0, 2**40),
    scores=st.lists(ANY_SCORE, min_size=5, max_size=40),
)
@pytest.mark.filterwarnings("ignore:.*not finite")
def test_epochs_have_the_promised_length_for_any_rate_and_scores(name, num_samples, rate, seed, scores):
    kept = num_samples if name == "full" else round((1 - rate) * num_samples)
    if kept == 0:
        return
    sampler = make_sampler(name, num_samples, rate, seed=seed)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == len(set(order)) == kept
        assert set(order) <= set(range(num_samples))
        index = torch.arange(num_samples) if epoch else sampler.subset()
        sampler.observe(index, torch.tensor(scores)[(index + epoch) % len(scores)])
    assert not any(tensor.isnan().any() for tensor in sampler.memory.values())


@pytest.mark.filterwarnings("error")
def test_correct_use_causes_no_warning(run_epoch):
    for name in SAMPLERS:
        sampler = make_sampler(name)
        for epoch in range(3):
            run_epoch(sampler, epoch)
            list(sampler.indices())


def test_a_sampler_needs_at_most_12_bytes_per_sample(run_epoch):
    for name in SAMPLERS:
        sampler = make_sampler(name, 1000)
        run_epoch(sampler, 0, batch_size=100)
        tensors = [*vars(sampler).values(), *sampler.memory.values()]
        own = [each for each in tensors if isinstance(each, torch.Tensor) and each.ndim and each.dtype != torch.bool]
        assert sum(tensor.nbytes for tensor in own) <= 12 * 1000, name


# the second where accuracies were measured and show no loss
WARNINGS = ("Do not use it on data with wrong labels", "It prefers samples with wrong labels")
NUM, NUM_WRONG, EPOCHS = 1_000, 200, 20
OF_LOSSES = [
    name
    for name, sampler in SAMPLERS.items()
    if not issubclass(sampler, StaticScored) and sampler.required_score in (None, "loss", "el2n")
]


@pytest.mark.parametrize("name", OF_LOSSES)
def test_a_sampler_that_prefers_wrong_labels_warns_of_them(name):
    losses = torch.rand(NUM, generator=torch.Generator().manual_seed(0))
    losses[:NUM_WRONG] += 4
    sampler, num_wrong = make_sampler(name, NUM, 0.5), 0
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        index = sampler.indices()
        sampler.update(index, losses[index])
        num_wrong += int((index < NUM_WRONG).sum())
    prefers_them = num_wrong / (EPOCHS * len(sampler)) > 1.15 * NUM_WRONG / NUM
    assert any(warning in inspect.getdoc(SAMPLERS[name]) for warning in WARNINGS) == prefers_them
