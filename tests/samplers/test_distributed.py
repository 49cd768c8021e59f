"""Two processes with gloo on the CPU: one subset, one shard each, scores gathered once per period.

That ranks which disagree are told so is asserted in the processes themselves.
"""

from unittest import mock

import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing

from dynprune_lib import SAMPLERS
from tests.helpers import free_port
from tests.samplers.conftest import make_sampler

pytestmark = pytest.mark.slow

WORLD, NUM_SAMPLES, EPOCHS = 2, 41, 5
CASES = [(name, 1) for name in sorted(SAMPLERS)] + [("ucb", 2)]


def work(rank, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=WORLD)
    torch.save([train(name, period) for name, period in CASES], f"{folder}/{rank}.pt")
    for disagree in (seeds_differ, scores_differ):
        with pytest.raises(RuntimeError, match="the ranks have selected different samples for epoch 1"):
            disagree(rank)
    dist.destroy_process_group()


def train(name, period):
    sampler = make_sampler(name, NUM_SAMPLES, period=period)
    epochs = []
    with mock.patch.object(dist, "all_gather", wraps=dist.all_gather) as all_gather:
        for epoch in range(EPOCHS):
            sampler.set_epoch(epoch)
            order = list(sampler)
            assert len(order) == len(sampler)
            epochs.append((sampler.subset().tolist(), order))
            for index in torch.tensor(order).split(4):
                sampler.update(index, ((index * 7 + epoch * 3) % 13).float())
        collectives = all_gather.call_count
    return {"epochs": epochs, "state": sampler.state_dict(), "collectives": collectives}


def seeds_differ(rank):
    sampler = make_sampler("ucb", NUM_SAMPLES, seed=rank)
    for index in sampler.indices().split(4):
        sampler.update(index, torch.ones(len(index)))
    sampler.set_epoch(1)


def scores_differ(rank):
    """Each rank scores its own part of the data set, as in parallel inference."""
    sampler = make_sampler("ucb", NUM_SAMPLES)
    list(sampler)
    index = torch.arange(rank, NUM_SAMPLES, WORLD)
    sampler.observe(index, index.float())
    sampler.set_epoch(1)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Results of every case, for every rank."""
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(work, args=(free_port(), str(folder)), nprocs=WORLD)
    return [dict(zip(CASES, torch.load(folder / f"{rank}.pt"), strict=True)) for rank in range(WORLD)]


@pytest.mark.parametrize("case", CASES)
def test_ranks_have_disjoint_shards_of_one_subset(ranks, case):
    first, second = (rank[case]["epochs"] for rank in ranks)
    for (subset, order), (other_subset, other_order) in zip(first, second, strict=True):
        assert subset == other_subset
        assert len(order) == len(other_order) == len(subset) // WORLD
        assert not set(order) & set(other_order)
        assert set(order) | set(other_order) <= set(subset)


@pytest.mark.parametrize("case", CASES)
def test_scores_are_gathered_once_per_period(ranks, case):
    first, second = (rank[case] for rank in ranks)
    memory, other = first["state"]["memory"], second["state"]["memory"]
    assert memory.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in memory.items())
    periods_after_the_first = (EPOCHS - 1) // case[1]
    assert first["collectives"] == periods_after_the_first * len(memory)


def test_full_data_drops_no_sample_for_good(ranks):
    seen = {index for rank in ranks for _, order in rank["full", 1]["epochs"] for index in order}
    assert seen == set(range(NUM_SAMPLES))  # every epoch drops one of the 41 samples on 2 ranks


def test_a_run_of_two_ranks_resumes_in_one_process(ranks):
    saved = ranks[0]["ucb", 1]
    resumed = SAMPLERS["ucb"](NUM_SAMPLES, 0.5)
    assert saved["state"]["trained"] == 20  # on both ranks
    resumed.load_state_dict(saved["state"])
    assert resumed.steps_left(EPOCHS + 1, 4) == 5
    assert resumed.subset().tolist() == saved["epochs"][-1][0]
    resumed.set_epoch(EPOCHS)
    scores = resumed.mean + resumed.var
    left_out = sorted(set(range(NUM_SAMPLES)) - set(resumed.subset().tolist()))
    assert scores[resumed.subset()].min() >= scores[left_out].max()
