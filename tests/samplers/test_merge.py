"""How processes come to remember the same: the merge by itself, and samplers in two processes."""

import copy
import warnings
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed as dist

from dynprune_lib import SAMPLERS
from dynprune_lib.samplers import merge as merging
from dynprune_lib.samplers.merge import merge
from tests.helpers import in_two_processes
from tests.samplers.conftest import assert_same, losses_of, make_sampler

VALUES = st.sampled_from([0.0, -1.5, 3.0, float("inf"), -float("inf"), 1e38])


@given(
    # of up to nine samples, what up to four processes recorded: nothing, some, all, or the same as others
    st.integers(1, 9).flatmap(
        lambda number: st.lists(
            st.tuples(*(st.lists(each, min_size=number, max_size=number) for each in (st.booleans(), VALUES))),
            min_size=1,
            max_size=4,
        )
    )
)
def test_a_sample_has_the_rows_of_the_lowest_rank_that_recorded_it(recorded):
    parts = []
    for marks, values in recorded:
        new = torch.tensor(values)
        memory = {"mean": new, "second": new.clamp(-9, 9).half(), "count": new.clamp(-9, 9).int(), "right": new > 0}
        marks = torch.tensor(marks)
        parts.append((marks, {name: torch.where(marks, rows, torch.ones_like(rows)) for name, rows in memory.items()}))
    before = copy.deepcopy(parts)
    merged = merge(parts)
    for sample in range(len(parts[0][0])):
        owner = next((memory for marks, memory in parts if marks[sample]), parts[0][1])
        assert all(rows[sample] == owner[name][sample] for name, rows in merged.items())
    for (_, memory), (_, unchanged) in zip(parts, before, strict=True):
        assert_same(memory, unchanged)
        assert all(merged[name].dtype == rows.dtype for name, rows in memory.items())


WORLD, NUM_SAMPLES, EPOCHS = 2, 41, 5
METHODS = ("ucb", "early-stopping")  # which remembers in half precision, too


def work(_):
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    found = {name: train(name) for name in METHODS}  # check_sampler simulates the processes of all samplers
    # each process scores its own part of the data set, as in parallel inference; then one of them all, one nothing
    scored_by = (rank, NUM_SAMPLES, WORLD), (0, NUM_SAMPLES * rank)
    found["subsets"] = [subset_after(torch.arange(*which)) for which in scored_by]
    found["told"] = [misused(rank, *each) for each in MISUSES]
    for seed, method in ((rank, "ucb"), (rank, "rs2")):
        sampler = make_sampler(method, NUM_SAMPLES, seed=seed)
        with pytest.raises(RuntimeError, match="the processes have selected different samples for epoch 0"):
            one_epoch(sampler, sampler.indices().split(4))
    store = dist.distributed_c10d._get_default_store()
    if rank == 0:
        merging.WAITED, merging.sys = 0.0, Mock(stderr=Mock(write=lambda text: store.set("told", text)))
        with pytest.raises(RuntimeError, match=r"rank 0 could not meet the others"):
            make_sampler("ucb").state_dict()
    found["waited"] = store.get("told").decode()  # the other process ends when it has read it
    return found


def train(name):
    sampler, epochs = make_sampler(name, NUM_SAMPLES), []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == len(sampler)
        epochs.append((sampler.subset().tolist(), order))
        for index in torch.tensor(order).split(4):
            sampler.update(index, losses_of(index, epoch))
    return epochs, sampler.state_dict()


def one_epoch(sampler, batches):
    sampler.set_epoch(0)
    for index in batches:
        sampler.update(index, torch.ones(len(index)))
    sampler.set_epoch(1)


def subset_after(index):
    sampler = make_sampler("ucb", NUM_SAMPLES)
    sampler.observe(index, index.float())
    sampler.set_epoch(1)
    return sampler.subset().tolist()


TWICE, NOBODY, RIGHT = "they were distributed twice", "nothing distributes them", None
MISUSES = [  # whether the sampler makes shards, the batches of its order that a process gets, what it is told
    (True, lambda order, _: order.split(4), RIGHT),
    (True, lambda order, _: order.split(4)[:3], RIGHT),  # an epoch cut short
    (True, lambda order, rank: order.split(4)[rank::2], TWICE),
    (False, lambda order, rank: order.split(4)[rank::2], RIGHT),
    (False, lambda order, rank: order.split(4)[rank::4], TWICE),
    (False, lambda order, _: order.split(4), NOBODY),
    (False, lambda order, _: order.split(4)[:1], RIGHT),  # a single batch, which accelerate fills up with all samples
    (False, lambda order, rank: order.split(4)[rank:6:2], RIGHT),  # an epoch cut short
    (False, lambda order, _: order.split(4)[:4], NOBODY),
    # as accelerate does with three batches in each process
    (True, lambda order, rank: order.split(16)[rank::2] + order.split(16)[:rank], TWICE),
]


def misused(rank, shard, batches_of, _):
    sampler = make_sampler("ucb", 96, warm_up=3, shard=shard)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            one_epoch(sampler, batches_of(sampler.indices(), rank))
        except RuntimeError as error:
            return str(error)
    return None


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What every process has found."""
    return in_two_processes(work, tmp_path_factory.mktemp("ranks"))


@pytest.mark.slow
def test_processes_have_disjoint_shards_of_one_subset_and_remember_the_same(ranks):
    for name in METHODS:
        (first, state), (second, other) = (rank[name] for rank in ranks)
        for (subset, order), (other_subset, other_order) in zip(first, second, strict=True):
            assert subset == other_subset
            assert len(order) == len(other_order) == len(subset) // WORLD
            assert len({*order, *other_order} & set(subset)) == 2 * len(order)
        assert_same(state["memory"], other["memory"])
    for rank in ranks:
        assert rank["subsets"] == [list(range(21, 41))] * 2  # it does not matter which process recorded a score


@pytest.mark.slow
def test_a_run_of_two_processes_resumes_in_one(ranks):
    epochs, state = ranks[0]["ucb"]
    resumed = SAMPLERS["ucb"](NUM_SAMPLES, 0.5)
    assert state["trained"] == 20  # in both processes
    resumed.load_state_dict(state)
    assert resumed.steps_left(EPOCHS + 1, 4) == 5
    assert resumed.subset().tolist() == epochs[-1][0]
    resumed.set_epoch(EPOCHS)
    scores = resumed.memory["mean"] + resumed.memory["var"]
    left_out = sorted(set(range(NUM_SAMPLES)) - set(resumed.subset().tolist()))
    assert scores[resumed.subset()].min() >= scores[left_out].max()


@pytest.mark.slow
def test_a_state_that_one_process_alone_asks_for_is_told(ranks):
    assert "rank 0 has waited 0 s for the others: set_epoch() and state_dict() are for all" in ranks[1]["waited"]


@pytest.mark.slow
def test_samples_that_are_distributed_twice_or_not_at_all_are_an_error_after_the_first_epoch(ranks):
    for rank in ranks:
        for number, ((*_, expected), message) in enumerate(zip(MISUSES, rank["told"], strict=True)):
            assert (message is None) == (expected is None), (number, message)
            if expected:
                assert expected in message
                assert f"make the sampler with shard={expected == NOBODY}" in message
