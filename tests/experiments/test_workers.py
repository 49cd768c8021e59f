"""Where the processes of a sweep compute: GPUs that this machine may not have are stood in for."""

import os
from dataclasses import replace

import pytest
import torch

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments import workers
from dynprune_lib.experiments.plan import Plan
from dynprune_lib.experiments.progress import Progress
from dynprune_lib.experiments.workers import Placement, available_devices, placements, run_workers

CPU = torch.device("cpu")
GPUS = [torch.device("cuda", number) for number in range(3)]


@pytest.fixture
def gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)


@pytest.mark.usefixtures("gpus")
def test_all_visible_gpus_or_those_that_are_chosen():
    assert available_devices() == GPUS
    assert available_devices((2, 0)) == [GPUS[2], GPUS[0]]
    with pytest.raises(SpecError, match=r"device 3 is not a GPU .*: there are 3 \(0 to 2\); see CUDA_VISIBLE_DEVICES"):
        available_devices((0, 3))


def test_without_a_gpu_it_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert available_devices() == [CPU]
    with pytest.raises(SpecError, match="device 0 is not a GPU that this process sees: there is none"):
        available_devices((0,))


def test_workers_take_the_gpus_in_turn_and_are_not_pinned():
    places = placements(5, GPUS[:2], threads=1)
    assert [place.device.index for place in places] == [0, 1, 0, 1, 0]
    assert {place.cores for place in places} == {()}


def test_workers_of_a_cpu_have_cores_of_their_own(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 3, 5, 1, 9}, raising=False)
    assert [place.cores for place in placements(2, [CPU])] == [(1, 3), (5, 7, 9)]
    assert [place.cores for place in placements(6, [CPU])] == [()] * 6  # too few
    monkeypatch.delattr(os, "sched_getaffinity")
    assert [place.cores for place in placements(2, [CPU])] == [()] * 2


def test_threads_are_shared_unless_their_number_is_given(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert [place.threads for place in placements(3, [CPU])] == [2] * 3
    assert [place.threads for place in placements(16, [CPU])] == [1] * 16
    assert [place.threads for place in placements(3, [CPU], threads=4)] == [4] * 3


def test_a_placement_is_applied(monkeypatch):
    used = []
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: used.append(cores), raising=False)
    before = torch.get_num_threads()
    with Placement(GPUS[1], threads=3).applied():
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before
    Placement(CPU, cores=(2, 3)).apply()
    assert used == [GPUS[1], (2, 3)]


def tell_place(specs, plan, report):
    """In place of the walk of a sweep: report where this process computes, and how many share its device."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    own = replace(specs[0], seed=os.getpid())  # a run has one failure
    report("failed", own, (cores, torch.get_num_threads(), plan.jobs))


@pytest.mark.slow
def test_two_workers_share_a_cpu_without_sharing_a_core(store, spec):
    with Progress([spec]) as progress:
        run_workers(tell_place, [replace(spec, seed=seed) for seed in range(2)], Plan(store, jobs=2), [CPU], progress)
    (first, threads, jobs), (second, *_) = progress.failures.values()
    assert jobs == 2
    assert threads >= 1
    if len(getattr(os, "sched_getaffinity", lambda _: ())(0)) >= 2:
        assert not set(first) & set(second)
        assert len(first) + len(second) == len(os.sched_getaffinity(0))


def test_a_run_is_told_how_many_share_its_gpu(store, spec, monkeypatch):
    shares = []

    def start(*arguments):
        shares.append(arguments[2].jobs)
        return object(), None

    monkeypatch.setattr(workers, "_start", start)
    monkeypatch.setattr(workers, "_follow", lambda *_: None)
    monkeypatch.setattr(workers, "_stop", lambda _: None)
    with Progress([spec]) as progress:
        run_workers(tell_place, [spec], Plan(store, jobs=5), GPUS[:2], progress)
    assert shares == [3, 2, 3, 2, 3]
