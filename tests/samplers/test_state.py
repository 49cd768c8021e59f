"""The contract of `state_dict`, `load_state_dict`, pickle and copy, for every sampler of the library."""

import copy
import pickle

import pytest
import torch

from tests.samplers.conftest import assert_same

EPOCHS = 6


@pytest.mark.parametrize("copied", ["state", "pickle", "deepcopy"])
@pytest.mark.parametrize("period", [1, 2])
def test_goes_on_bit_for_bit(make, run_epoch, copied, period):
    original = make(100, seed=3, period=period)
    for epoch in range(3):
        run_epoch(original, epoch)
    if copied == "state":
        resumed = make(100, seed=3, period=period)
        resumed.load_state_dict(pickle.loads(pickle.dumps(original.state_dict())))
    else:
        resumed = copy.deepcopy(original) if copied == "deepcopy" else pickle.loads(pickle.dumps(original))
    assert resumed.subset().tolist() == original.subset().tolist()
    for epoch in range(3, 3 + EPOCHS):
        assert run_epoch(resumed, epoch) == run_epoch(original, epoch)
    assert_same(resumed.state_dict(), original.state_dict())


def test_a_state_is_not_changed_by_going_on(make, run_epoch):
    sampler = make()
    run_epoch(sampler, 0)
    state = sampler.state_dict()
    before = copy.deepcopy(state)
    run_epoch(sampler, 1)
    assert_same(state, before)
    resumed = make()
    resumed.load_state_dict(state)
    run_epoch(resumed, 1)
    assert_same(state, before)


@pytest.mark.parametrize("other", [{"num_samples": 41}, {"seed": 1}, {"period": 2}, {"prune_rate": 0.25}])
def test_a_state_of_other_settings_is_refused(make, is_full, other):
    if is_full and "prune_rate" in other:
        pytest.skip("its rate is always 0")
    (name,) = other
    with pytest.raises(ValueError, match=f"this state has {name} = "):
        make().load_state_dict(make(**other).state_dict())


def test_a_state_of_another_sampler_is_refused(make):
    class Other(type(make())):
        pass

    other = make()
    other.__class__ = Other
    with pytest.raises(ValueError, match="this state has sampler = 'Other'"):
        make().load_state_dict(other.state_dict())


def test_what_is_no_state_is_refused(make):
    with pytest.raises(ValueError, match="no state of a sampler: it lacks epoch"):
        make().load_state_dict({"settings": {}, "memory": {}, "subset": torch.arange(3)})
