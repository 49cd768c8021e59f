"""The contract of `PruningSampler`, for every sampler in SAMPLERS."""

import copy
import random
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Subset, TensorDataset

from dynprune_lib import indexed
from tests.samplers.conftest import assert_same, make_sampler

EPOCHS = 6


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), "0.5", None])
def test_refuses_a_rate_outside_its_range(make, is_full, rate):
    if is_full:
        pytest.skip("its rate is always 0")
    with pytest.raises(ValueError, match=r"prune_rate is .*a number in"):
        make(prune_rate=rate)


def test_full_refuses_a_prune_rate():
    from dynprune_lib import Full

    with pytest.raises(ValueError, match=r"prune_rate is 0\.5: Full keeps all samples, so it must be 0"):
        Full(40, 0.5)


def test_refuses_a_rate_that_keeps_nothing(make, is_full):
    if is_full:
        pytest.skip("its rate is always 0")
    with pytest.raises(ValueError, match="keeps none of 3 samples"):
        make(3, prune_rate=0.9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_samples": 0}, "num_samples is 0"),
        ({"num_samples": 3.0}, "num_samples is 3.0"),
        ({"period": 0}, "period is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "a"}, "seed is 'a'"),
    ],
)
def test_refuses_other_settings_out_of_range(make, wrong, message):
    with pytest.raises(ValueError, match=message):
        make(**wrong)


def test_epoch_must_be_a_natural_number(make):
    for epoch in (-1, 1.5, None):
        with pytest.raises(ValueError, match="epoch is"):
            make().set_epoch(epoch)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    num_samples=st.integers(1, 200),
    rate=st.floats(0, 0.99),
    seed=st.integers(0, 2**40),
    period=st.integers(1, 3),
)
def test_epochs_have_the_promised_length(make, is_full, run_epoch, num_samples, rate, seed, period):
    kept = num_samples if is_full else round((1 - rate) * num_samples)
    if kept == 0:
        return
    sampler = make(num_samples, rate, seed=seed, period=period)
    for epoch in range(4):
        assert len(sampler) == kept  # before the epoch starts
        order = run_epoch(sampler, epoch)
        assert len(order) == len(set(order)) == kept
        assert set(order) <= set(range(num_samples))
        assert sorted(order) == sampler.subset().tolist()


def test_iterating_restarts_and_repeats(make):
    sampler = make()
    sampler.set_epoch(3)
    first = iter(sampler)
    head = [next(first) for _ in range(5)]
    second = list(sampler)
    assert second[:5] == head
    assert list(first) == second[5:]
    assert second == sampler.indices().tolist()
    assert len({tuple(sampler) for _ in range(3)}) == 1


def test_order_changes_every_epoch(make):
    sampler = make(200)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert len({tuple(order) for order in orders}) == 3


def test_subset_is_kept_for_a_period(make, run_epoch):
    sampler = make(100, period=3)
    subsets = []
    for epoch in range(6):
        run_epoch(sampler, epoch)
        subsets.append(set(sampler.subset().tolist()))
    assert subsets[0] == subsets[1] == subsets[2]
    assert subsets[3] == subsets[4] == subsets[5]


def test_seed_and_history_determine_the_order(make, run_epoch):
    def orders(seed):
        sampler = make(100, seed=seed)
        return [run_epoch(sampler, epoch) for epoch in range(EPOCHS)]

    assert orders(0) == orders(0)
    assert orders(0) != orders(1)


def test_losses_in_place_of_another_score_cause_one_warning(make):
    sampler = make()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            sampler.update(torch.arange(3), torch.ones(3))
    assert len(caught) == (sampler.required_score not in (None, "loss"))
    assert all(f"is defined for the score {sampler.required_score}" in str(each.message) for each in caught)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_type_of_tensors_changes_nothing(make, run_epoch, dtype):
    def run():
        sampler = make(100)
        return [run_epoch(sampler, epoch) for epoch in range(EPOCHS)], sampler.state_dict()

    orders, state = run()
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        other_orders, other_state = run()
        make(100).load_state_dict(state)
    finally:
        torch.set_default_dtype(before)
    assert orders == other_orders
    assert_same(state, other_state)


def test_global_random_states_are_not_changed(make, run_epoch):
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    sampler = make()
    run_epoch(sampler, 0)
    run_epoch(sampler, 1)
    assert states() == before


def test_global_random_states_are_not_read(make, run_epoch):
    orders = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        sampler = make()
        orders.append([run_epoch(sampler, epoch) for epoch in range(EPOCHS)])
    assert orders[0] == orders[1]


def test_a_missing_set_epoch_causes_one_warning(make):
    sampler = make()
    loader = DataLoader(indexed(TensorDataset(torch.zeros(40))), batch_size=8, sampler=sampler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            for index, _x in loader:
                sampler.update(index, torch.ones(len(index)), scores=torch.ones(len(index)))
    assert ["set_epoch() was not called" in str(warning.message) for warning in caught] == [True]


def test_correct_use_causes_no_warning(make, run_epoch):
    sampler = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epoch in range(3):
            run_epoch(sampler, epoch)
            list(sampler.indices())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_update_returns_the_mean_with_its_graph(make, dtype):
    sampler = make()
    weights = torch.ones(4, dtype=dtype, requires_grad=True)
    losses = weights * torch.tensor([1, 2, 3, 6], dtype=dtype)
    loss = sampler.update(sampler.subset()[[0, 1, 2, -1]], losses)
    loss.backward()
    assert loss.item() == 3
    assert loss.dtype == dtype
    assert weights.grad.tolist() == [0.25, 0.5, 0.75, 1.5]


@pytest.mark.parametrize(
    ("index", "losses", "error", "message"),
    [
        (torch.tensor([1, 2]), torch.tensor(0.5), ValueError, "reduction='none'"),
        (torch.tensor([1, 2]), torch.ones(3), ValueError, r"index has shape \(2,\) and losses \(3,\)"),
        (torch.tensor([1, 2]), torch.ones(2, 1), ValueError, r"losses \(2, 1\)"),
        (torch.tensor([1, 40]), torch.ones(2), IndexError, r"index 40 is not in \[0, 40\)"),
        (torch.tensor([-1, 2]), torch.ones(2), IndexError, "index -1 is not"),
    ],
)
def test_update_refuses_other_than_per_sample_losses(make, index, losses, error, message):
    with pytest.raises(error, match=message):
        make().update(index, losses)


def test_a_mean_is_the_score_of_every_sample_of_the_batch(make):
    with_mean, with_losses = make(100, rescale=False), make(100, rescale=False)
    assert with_mean.indices().tolist() == with_losses.indices().tolist()
    index = with_mean.indices()[:5]
    mean = torch.tensor(0.75, requires_grad=True) * 2
    assert with_mean.update(index, mean, per_sample=False) is mean
    with_losses.update(index, torch.full((5,), 1.5))
    assert_same(with_mean.state_dict(), with_losses.state_dict())
    with pytest.raises(ValueError, match=r"losses has shape \(5,\): with per_sample=False, it must be a scalar"):
        with_mean.update(index, torch.ones(5), per_sample=False)


def test_a_mean_cannot_be_rescaled():
    from dynprune_lib import InfoBatch

    with pytest.raises(ValueError, match="rescale is True: the losses of samples that only have a mean"):
        InfoBatch(40, 0.5).update(torch.arange(3), torch.tensor(1.0), per_sample=False)


def test_scores_are_recorded_instead_of_the_losses(make):
    with_scores, with_losses = make(), make()
    index, losses, scores = make().subset()[:2], torch.tensor([1.0, 2.0]), torch.tensor([7.0, 9.0])
    assert with_scores.update(index, losses, scores) == 1.5
    with_losses.update(index, scores)
    assert_same(with_scores.state_dict(), with_losses.state_dict())
    with pytest.raises(ValueError, match=r"index has shape \(2,\) and scores \(3,\)"):
        make().update(index, losses, torch.ones(3))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_indices_of_any_integer_type(make, dtype):
    sampler, other = make(), make()
    losses = torch.tensor([1.0, 2.0])
    sampler.update(torch.tensor([3, 5], dtype=dtype), losses)
    other.update(torch.tensor([3, 5]), losses)
    assert_same(sampler.state_dict(), other.state_dict())


def test_an_empty_batch_changes_nothing(make):
    sampler = make()
    before = copy.deepcopy(sampler.state_dict())
    sampler.update(torch.empty(0, dtype=torch.int64), torch.empty(0))
    assert_same(sampler.state_dict(), before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_cause_a_warning_and_are_not_recorded(make, run_epoch, bad):
    sampler = make()
    run_epoch(sampler, 0)
    index = sampler.subset()[:3]
    before = {name: tensor[index].clone() for name, tensor in sampler.memory.items()}
    sampler.update(index, torch.full((3,), bad))
    for name, tensor in sampler.memory.items():
        assert torch.equal(tensor[index], before[name])
    with pytest.warns(UserWarning, match="3 scores of epoch 0 were not finite and were not recorded"):
        sampler.set_epoch(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.set_epoch(2)


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_loader_yields_the_subset_and_its_indices(make, drop_last):
    check_loader(make(30, 0.5, seed=1), drop_last)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "method", "drop_last"), [(2, "fork", False), (4, "fork", True), (1, "spawn", True)]
)
def test_workers_change_nothing(workers, method, drop_last):  # workers have no copy of the sampler
    options = {"num_workers": workers, "multiprocessing_context": method, "persistent_workers": True}
    check_loader(make_sampler("ucb", 30, 0.5, seed=1), drop_last, **options)


def check_loader(sampler, drop_last, **options):
    dataset = indexed(Subset(TensorDataset(torch.arange(100, 140)), range(5, 35)))
    loader = DataLoader(dataset, batch_size=4, sampler=sampler, drop_last=drop_last, **options)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        seen = []
        for index, (value,) in loader:
            assert torch.equal(value, index + 105)
            sampler.update(index, value / 100)
            seen += index.tolist()
        whole = len(sampler) // 4 * 4 if drop_last else len(sampler)
        assert len(loader) == (whole + 3) // 4
        assert seen == list(sampler.indices()[:whole])


def test_state_needs_at_most_12_bytes_per_sample(make, run_epoch):
    sampler = make(1000)
    run_epoch(sampler, 0)
    tensors = [value for value in vars(sampler).values() if isinstance(value, torch.Tensor)]
    assert sum(tensor.nbytes for tensor in tensors if tensor.ndim) <= 12 * 1000


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_scores_live_where_the_losses_live(make, run_epoch):
    on_cpu, on_gpu = make(100), make(100)
    for epoch in range(3):
        order = run_epoch(on_cpu, epoch)
        on_gpu.set_epoch(epoch)
        assert list(on_gpu) == order
        for index in torch.tensor(order).split(7):
            losses = ((index * 37 + epoch * 11) % 101).float() / 50
            with torch.cuda.device(0), warnings.catch_warnings():
                torch.cuda.set_sync_debug_mode("error")
                on_gpu.update(index.cuda(), losses.cuda())
                torch.cuda.set_sync_debug_mode("default")
    assert all(tensor.device.type == "cuda" for tensor in on_gpu.memory.values())
    resumed = make(100)
    resumed.load_state_dict(on_gpu.state_dict())
    assert resumed.subset().tolist() == on_cpu.subset().tolist()
