"""What every sampler of the library keeps. `check_sampler` itself is tested in `tests/test_testing.py`."""

import inspect
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib.samplers import SAMPLERS, UCB, OwnLength, StaticScored
from dynprune_lib.testing import check_sampler
from tests.samplers.conftest import ANY_SCORE, make_sampler, of_samples

OWN_LENGTH = [name for name, sampler in SAMPLERS.items() if issubclass(sampler, OwnLength)]
CASES = [(name, {}) for name in SAMPLERS]
CASES += [(name, {"fill": False, "prune_rate": 0.1}) for name in OWN_LENGTH] + [("always-first", {"redraw": True})]
CASES += [("epsilon-greedy", {"epsilon": 0.4, "warm_up": 1, "anneal_from": 5, "rescale": True})]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_sampler_keeps_the_contract(name, options):
    check_sampler(SAMPLERS[name], **options)


MODES = (
    nullcontext,
    partial(torch.device, "meta"),  # on which a tensor without a device has no values
    torch.inference_mode,
    partial(torch.autocast, "cpu", torch.bfloat16),
)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_modes_of_torch_change_nothing(name):
    runs, losses = [], torch.rand(3, 40, generator=torch.Generator().manual_seed(0))
    for mode in MODES:
        epochs, given = [], of_samples(name, 40)
        with mode():
            sampler = SAMPLERS[name](40, 0.0 if name == "full" else 0.5, **given)
            for epoch in range(3):
                sampler.set_epoch(epoch)
                epochs.append(list(sampler))
                index = sampler.indices()
                sampler.update(index, losses[epoch][index])
            made = sampler.report()
            sampler.load_state_dict(sampler.state_dict())
        sampler.set_epoch(3)
        sampler.update(index, losses[0][index].requires_grad_()).backward()
        runs.append((epochs, made))
    assert all(run == runs[0] for run in runs)


@pytest.mark.filterwarnings("ignore:more samples of epoch")
def test_what_moves_to_a_device_in_inference_mode_can_be_changed_afterwards():
    sampler, index = UCB(8, 0.5), torch.arange(8, device="meta")
    with torch.inference_mode():
        sampler.observe(index, torch.rand(8, device="meta"))
    sampler.update(index, torch.rand(8, device="meta"))


@settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from(sorted(SAMPLERS)),
    num_samples=st.integers(1, 60),
    rate=st.floats(0, 0.99),
    seed=st.integers(0, 2**40),
    scores=st.lists(ANY_SCORE, min_size=5, max_size=10),
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
def test_correct_use_causes_no_warning_and_needs_at_most_12_bytes_per_sample(run_epoch):
    for name in SAMPLERS:
        sampler = make_sampler(name, 200)
        for epoch in range(3):
            run_epoch(sampler, epoch, batch_size=40)
            list(sampler.indices())
        tensors = [*vars(sampler).values(), *sampler.memory.values()]
        own = [each for each in tensors if isinstance(each, torch.Tensor) and each.ndim and each.dtype != torch.bool]
        assert sum(tensor.nbytes for tensor in own) <= 12 * 200, name


# the second where accuracies were measured and show no loss
WARNINGS = ("Do not use it on data with wrong labels", "It prefers samples with wrong labels")
NUM, NUM_WRONG, EPOCHS = 500, 100, 15


def test_a_sampler_that_prefers_wrong_labels_warns_of_them():
    losses = torch.rand(NUM, generator=torch.Generator().manual_seed(0))
    losses[:NUM_WRONG] += 4
    for name, made in SAMPLERS.items():
        if issubclass(made, StaticScored) or made.required_score not in (None, "loss", "el2n"):
            continue
        sampler, num_wrong = make_sampler(name, NUM, 0.5), 0
        for epoch in range(EPOCHS):
            sampler.set_epoch(epoch)
            index = sampler.indices()
            sampler.update(index, losses[index], losses[index])
            num_wrong += int((index < NUM_WRONG).sum())
        prefers_them = num_wrong / (EPOCHS * len(sampler)) > 1.15 * NUM_WRONG / NUM
        assert any(warning in inspect.getdoc(made) for warning in WARNINGS) == prefers_them, name
