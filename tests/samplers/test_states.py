"""States: what is saved, what is loaded, and what is refused with the name of its first wrong part."""

import copy
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from dynprune_lib import UCB, DynamicRandom, EpsilonGreedy, InfoBatch, InstanceEarlyStopping
from dynprune_lib.testing import _as_process
from tests.samplers.conftest import assert_same


@pytest.mark.parametrize("resumed_at", [1, 4, 7])  # in each phase
def test_options_resume_bit_for_bit(resumed_at, run_epoch):
    def make():
        return EpsilonGreedy(60, 0.5, epsilon=0.4, warm_up=1, anneal_from=6, period=2, rescale=True)

    original, resumed = make(), make()
    for epoch in range(resumed_at):
        run_epoch(original, epoch)
    resumed.load_state_dict(pickle.loads(pickle.dumps(original.state_dict())))
    index = original.subset()[:9]
    assert resumed.mean_loss(index, torch.arange(9.0)) == original.mean_loss(index, torch.arange(9.0))
    for epoch in range(resumed_at, 9):
        assert run_epoch(resumed, epoch) == run_epoch(original, epoch)


def test_a_sampler_that_is_sent_to_a_process_shares_no_memory_with_it(make_one, run_epoch):
    sampler = make_one()
    run_epoch(sampler, 0)
    sent = pickle.loads(ForkingPickler.dumps(sampler))  # as torch.multiprocessing.spawn sends its arguments
    assert sampler.memory["mean"].is_shared()
    assert not any(tensor.is_shared() for tensor in (*sent.memory.values(), sent._recorded, sent._usage.trained))
    assert_same(sent.state_dict(), sampler.state_dict())


def test_a_state_does_not_change_in_later_epochs(make_one, run_epoch):
    sampler = make_one()
    run_epoch(sampler, 0)
    state = sampler.state_dict()
    before = copy.deepcopy(state)
    run_epoch(sampler, 1)
    assert_same(state, before)
    resumed = make_one()
    resumed.load_state_dict(state)
    run_epoch(resumed, 1)
    assert_same(state, before)


@pytest.mark.parametrize("other", [{"num_samples": 41}, {"seed": 1}, {"period": 2}, {"prune_rate": 0.25}])
def test_a_state_of_other_settings_is_refused(make_one, other):
    (name,) = other
    with pytest.raises(ValueError, match=f"this state has {name} = "):
        make_one().load_state_dict(make_one(**other).state_dict())


def saved(sampler, run_epoch, epochs=2):
    for epoch in range(epochs):
        run_epoch(sampler, epoch)
    return sampler.state_dict()


def assert_refused(sampler, state, message):
    """Check that the state is refused with the message and that the sampler does not change."""
    before = sampler.state_dict()
    with pytest.raises(ValueError, match=message):
        sampler.load_state_dict(state)
    assert_same(sampler.state_dict(), before)


@pytest.mark.parametrize("state", [None, [], "state", 3, {}])
def test_a_state_that_is_not_one_of_this_sampler_is_refused(make_one, state):
    assert_refused(make_one(), state, "not the state of a sampler: it lacks epoch, memory, settings, subset, weights")
    incomplete = {"settings": {}, "memory": {}, "subset": torch.arange(3)}
    assert_refused(make_one(), incomplete, "this is not the state of a sampler: it lacks epoch, weights")
    assert_refused(make_one(), DynamicRandom(40).state_dict(), "this state has sampler = 'DynamicRandom'")


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("settings", None),
        ("epoch", -1),
        ("epoch", 1.5),
        ("epoch", "1"),
        ("epoch", True),
        ("epoch", torch.tensor([1])),
        ("epoch", 2**31 - 1),
        ("trained", -1),
        ("trained", None),
        ("subset", None),
        ("subset", [0, 1]),
        ("subset", torch.rand(20)),
        ("subset", torch.arange(3, dtype=torch.int32)),
        ("subset", torch.zeros(20, 1, dtype=torch.int32)),
        ("weights", [1.0]),
        ("weights", torch.ones(39)),
        ("memory", None),
        ("memory", ["mean"]),
        ("memory", {"other": torch.zeros(40)}),
        ("savings", [0]),
        ("savings", {"made": 3}),
    ],
)
def test_a_damaged_part_is_refused_by_name(make_one, run_epoch, part, wrong):
    state = saved(make_one(), run_epoch)
    assert_refused(make_one(), state | {part: wrong}, f"{part} of this state ")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("made", -1),
        ("made", None),
        ("left_out", float("nan")),
        ("overlap", 1.5),
        ("selected", torch.ones(39, dtype=torch.bool)),
        ("selected", torch.ones(40)),
    ],
)
def test_damaged_counts_are_refused(make_one, run_epoch, name, wrong):
    state = saved(make_one(), run_epoch)
    assert_refused(make_one(), state | {"savings": state["savings"] | {name: wrong}}, "savings of this state")


def test_a_subset_with_wrong_or_repeated_samples_is_refused(make_one, run_epoch):
    state = saved(make_one(), run_epoch)
    subset = state["subset"]
    for wrong, message in (
        (subset + 40, r"values that are not in \[0, 39\]"),
        (subset - 40, r"values that are not in \[0, 39\]"),
        (torch.cat([subset[:1], subset[:-1]]), "a sample more than once"),
    ):
        assert_refused(make_one(), state | {"subset": wrong}, f"subset of this state has {message}")


def test_memory_of_another_shape_or_type_or_with_impossible_values_is_refused(run_epoch):
    state = saved(InstanceEarlyStopping(40), run_epoch)
    last, second = state["memory"]["last"], state["memory"]["second"]
    wrong = {"last": [None, last.tolist(), last[:5], last[:, None], last.double()], "second": [second.float()]}
    wrong["last"] += [torch.full((40,), value) for value in (torch.nan, -torch.inf)]
    wrong["second"] += [second.clone().index_fill_(0, torch.tensor(7), -1.0)]
    for name, each in wrong.items():
        for values in each:
            memory = state["memory"] | {name: values}
            assert_refused(InstanceEarlyStopping(40), state | {"memory": memory}, f"^{name} of this state ")


@pytest.mark.parametrize(("name", "never"), [("mean", -torch.inf), ("var", torch.inf), ("var", -1.0)])
def test_memory_of_a_bandit_with_impossible_values_is_refused(make_one, name, never, run_epoch):
    state = saved(make_one(), run_epoch)
    state["memory"][name][7] = never
    assert_refused(make_one(), state, rf"{name} of this state has values that are not in \[")


@pytest.mark.parametrize("wrong", [None, torch.ones(39), torch.ones(40).int(), torch.full((40,), torch.nan)])
def test_weights_are_required_if_losses_are_rescaled(wrong, run_epoch):
    def make():
        return DynamicRandom(40, 0.5, rescale=True, anneal_from=2)

    state = saved(make(), run_epoch)
    assert_refused(make(), state | {"weights": wrong}, "weights of this state ")
    annealed = saved(make(), run_epoch, epochs=3)
    assert annealed["weights"] is None
    make().load_state_dict(annealed)


def test_a_state_of_an_older_version_is_loaded(run_epoch):
    state = saved(UCB(40, std_bonus=True), run_epoch)
    state["settings"]["root"] = state["settings"].pop("std_bonus")  # its former name
    del state["settings"]["from_zero"], state["trained"], state["savings"]
    resumed = UCB(40, std_bonus=True)
    resumed.load_state_dict(state)
    assert resumed.steps_left(4, 5) == UCB(40).total_steps(3, 5)  # as if its epoch had not started
    assert resumed.report().passes_made == 0  # counted from here
    run_epoch(resumed, 2)
    assert resumed.report().passes_made == len(resumed.subset())
    assert_refused(UCB(40), state, "this state has std_bonus = True, the sampler False")
    assert_refused(UCB(40, std_bonus=True, from_zero=True), state, "this state has from_zero = False, the sampler True")


def test_an_older_state_is_not_loaded_over_the_one_of_all_processes_together():
    sampler = UCB(80, 0.5)
    state = sampler.state_dict()
    with _as_process(0):
        sampler.load_state_dict(state | {"trained": 16})  # 8 in each of two
        with pytest.warns(UserWarning, match="a loader has loaded an older state into this sampler"):
            sampler.load_state_dict(state | {"trained": 8})
    assert sampler.steps_left(1, 4) == 8


def state_of_0_2(sampler, subset, memory, weights=None, **own):
    """Return the state that version 0.2 saved after two epochs of 8 samples."""
    common = {"num_samples": 8, "prune_rate": 0.5, "period": 1, "warm_up": 0, "anneal_from": None, "seed": 0}
    return {
        "settings": {"sampler": sampler, **common, "rescale": weights is not None, **own},
        "epoch": 1,
        "trained": 4,
        "subset": torch.tensor(subset, dtype=torch.int32),
        "weights": weights if weights is None else torch.tensor(weights),
        "memory": {name: torch.tensor(values) for name, values in memory.items()},
    }


MEAN = [0.5, 1.0, 3.0, 4.0, 5.0, 6.0, 3.5, 4.0]
LAST = [0.5, 1.0, 1.5, 4.0, torch.inf, 3.0, torch.inf, 8.0]
SAVED = [
    (UCB, state_of_0_2("UCB", [6, 0, 1, 7], {"mean": MEAN, "var": [0.0] * 8}, alpha=0.5, c=1.0, root=False)),
    (EpsilonGreedy, state_of_0_2("EpsilonGreedy", [6, 0, 1, 7], {"mean": MEAN}, alpha=0.5, epsilon=0.1)),
    (InfoBatch, state_of_0_2("InfoBatch", [0, 2, 5, 1], {"last": LAST}, [1.0, 2, 1, 0, 0, 1, 0, 0], r=0.5)),
]
SELECTED = {UCB: [3, 4, 5, 7], EpsilonGreedy: [3, 4, 5, 7], InfoBatch: [0, 2, 5, 7]}  # by version 0.2 itself


@pytest.mark.parametrize(("make", "state"), SAVED)
def test_a_state_of_version_0_2_goes_on_as_there(make, state):
    sampler = make(8, 0.5)
    sampler.load_state_dict(state)
    assert sampler.subset().tolist() == sorted(state["subset"].tolist())
    assert sampler.steps_left(epochs=3, batch_size=2) == 2
    sampler.set_epoch(2)
    assert sampler.subset().tolist() == SELECTED[make]
