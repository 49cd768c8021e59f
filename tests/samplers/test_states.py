"""States: what is saved, what is loaded, and what is refused with the name of its first wrong part."""

import copy
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from dynprune_lib import UCB, DynamicRandom, EpsilonGreedy, InfoBatch
from dynprune_lib.testing import _as_process
from tests.samplers.conftest import assert_same

INF, NAN = float("inf"), float("nan")


def test_a_sampler_that_is_sent_to_a_process_shares_no_memory_with_it(make_one, run_epoch):
    sampler = make_one()
    run_epoch(sampler, 0)
    sent = pickle.loads(ForkingPickler.dumps(sampler))  # as torch.multiprocessing.spawn sends its arguments
    assert sampler.memory["mean"].is_shared()
    assert not any(tensor.is_shared() for tensor in (*sent.memory.values(), sent._recorded, sent._usage.trained))
    assert_same(sent.state_dict(), sampler.state_dict())


def test_a_state_does_not_change_in_later_epochs(make_one, run_epoch):
    sampler, resumed = make_one(), make_one()
    run_epoch(sampler, 0)
    state = sampler.state_dict()
    before = copy.deepcopy(state)
    run_epoch(sampler, 1)
    assert_same(state, before)
    resumed.load_state_dict(state)
    run_epoch(resumed, 1)
    assert_same(state, before)


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


def test_a_state_of_another_sampler_or_other_settings_is_refused(make_one):
    for state in (None, [], "state", {}):
        message = "this is not the state of a sampler: it lacks epoch, memory, settings, subset, weights"
        assert_refused(make_one(), state, message)
    incomplete = {"settings": {}, "memory": {}, "subset": torch.arange(3)}
    assert_refused(make_one(), incomplete, "this is not the state of a sampler: it lacks epoch, weights")
    assert_refused(make_one(), DynamicRandom(40).state_dict(), "this state has sampler = 'DynamicRandom'")
    for other in ({"num_samples": 41}, {"seed": 1}, {"period": 2}, {"prune_rate": 0.25}):
        assert_refused(make_one(), make_one(**other).state_dict(), f"this state has {next(iter(other))} = ")


OUT = r"has values that are not in \["
WRONG = [  # part, value, what is said of it
    *(("settings", wrong, "") for wrong in (None, [1])),
    *(("epoch", wrong, "") for wrong in (-1, True, 1.5, torch.tensor([1]), 2**31 - 1)),
    *(("trained", wrong, "") for wrong in (-1, None)),
    *(("subset", wrong, "") for wrong in (None, [0, 1], torch.rand(20), torch.arange(3).int())),
    ("subset", torch.zeros(20, 1).int(), ""),
    ("subset", torch.arange(21, 41).int(), OUT),
    ("subset", torch.arange(-1, 19).int(), OUT),
    ("subset", torch.arange(20).int().clamp(min=1), "has a sample more than once"),
    *(("weights", wrong, "") for wrong in ([1.0], torch.ones(40))),
    *(("memory", wrong, "") for wrong in (None, ["mean"], {"other": torch.zeros(40)})),
    *(("mean", wrong, "is a") for wrong in (None, [1.0] * 40, torch.ones(5), torch.ones(40, 1), torch.ones(40).int())),
    *(("mean", torch.tensor([1.0] * 39 + [wrong]), OUT) for wrong in (NAN, -INF)),
    *(("var", torch.tensor([1.0] * 39 + [wrong]), OUT) for wrong in (-1.0, INF)),
    *(("savings", wrong, "") for wrong in ([0], {"made": 3})),
    *(("made", wrong, "") for wrong in (-1, None)),
    ("left_out", NAN, ""),
    ("overlap", 1.5, ""),
    *(("selected", wrong, "") for wrong in (torch.ones(39, dtype=torch.bool), torch.ones(40))),
]


@pytest.mark.parametrize(("part", "wrong", "said"), WRONG)
def test_a_damaged_part_is_refused_by_name(make_one, run_epoch, part, wrong, said):
    state = saved(make_one(), run_epoch)
    for whole in ("memory", "savings"):
        if part in state[whole]:
            return assert_refused(
                make_one(),
                state | {whole: state[whole] | {part: wrong}},
                f"{part if whole == 'memory' else whole} of this state.* {said}",
            )
    assert_refused(make_one(), state | {part: wrong}, f"{part} of this state {said}")
    return None


def test_weights_are_required_if_losses_are_rescaled(run_epoch):
    def make():
        return DynamicRandom(40, 0.5, rescale=True, anneal_from=2)

    state = saved(make(), run_epoch)
    for wrong in (None, torch.ones(39), torch.ones(40).int(), torch.full((40,), NAN)):
        assert_refused(make(), state | {"weights": wrong}, "weights of this state ")
    annealed = saved(make(), run_epoch, epochs=3)
    assert annealed["weights"] is None
    make().load_state_dict(annealed)


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
    sampler, older = make(8, 0.5), make(8, 0.5)
    sampler.load_state_dict(state)
    assert sampler.subset().tolist() == sorted(state["subset"].tolist())
    assert sampler.steps_left(epochs=3, batch_size=2) == 2
    sampler.set_epoch(2)
    assert sampler.subset().tolist() == SELECTED[make]
    sampler.update(sampler.subset(), torch.ones(4))
    assert sampler.report().passes_made == 4 + 4  # counted from the epoch of the state
    older.load_state_dict({name: part for name, part in state.items() if name != "trained"})
    assert older.steps_left(epochs=3, batch_size=2) == 4  # as if its epoch had not started
    assert older.report().passes_made == 0


def test_settings_of_an_older_state_have_their_former_names_and_defaults():
    _, state = SAVED[0]
    state = state | {"settings": state["settings"] | {"root": True}}  # since then, std_bonus
    UCB(8, 0.5, std_bonus=True).load_state_dict(state)
    assert_refused(UCB(8, 0.5), state, "this state has std_bonus = True, the sampler False")
    assert_refused(UCB(8, 0.5, std_bonus=True, from_zero=True), state, "from_zero = False, the sampler True")
