"""Worker processes, and where they compute: GPUs that this machine may not have are stood in for."""

import os
import signal

import pytest
import torch

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.sweep import available_devices
from dynprune_lib.experiments.workers import Placement, Workers, placements

GPUS = ["cuda:0", "cuda:1", "cuda:2"]


@pytest.fixture
def gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)


@pytest.mark.usefixtures("gpus")
def test_all_visible_gpus_or_those_that_are_chosen():
    assert available_devices() == GPUS
    assert available_devices((2, 0)) == [GPUS[2], GPUS[0]]
    with pytest.raises(
        SpecError, match=r"device 3 is not visible to this process: choose from 0 to 2; see CUDA_VISIBLE_DEVICES"
    ):
        available_devices((0, 3))


def test_without_a_gpu_it_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert available_devices() == ["cpu"]
    with pytest.raises(SpecError, match="device 0 is not visible to this process: no GPU is"):
        available_devices((0,))


def test_workers_take_the_gpus_in_turn_and_are_not_pinned():
    places = placements(5, GPUS[:2], threads=1)
    assert [(place.device, place.sharing) for place in places] == [
        ("cuda:0", 3),
        ("cuda:1", 2),
        ("cuda:0", 3),
        ("cuda:1", 2),
        ("cuda:0", 3),
    ]
    assert {place.cores for place in places} == {()}


def test_workers_of_a_cpu_have_cores_of_their_own(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 3, 5, 1, 9}, raising=False)
    assert [place.cores for place in placements(2, ["cpu"], 1)] == [(1, 3), (5, 7, 9)]
    assert [place.cores for place in placements(6, ["cpu"], 1)] == [()] * 6  # too few
    monkeypatch.delattr(os, "sched_getaffinity")
    assert [place.cores for place in placements(2, ["cpu"], 1)] == [()] * 2


def test_a_placement_is_applied(monkeypatch):
    used = []
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: used.append(cores), raising=False)
    Placement("cuda:1", threads=3).apply()
    Placement("cpu", threads=1, cores=(2, 3)).apply()
    assert used == ["cuda:1", 3, (2, 3), 1]


def do(task, report, place):
    """In place of what a worker of a sweep does."""
    report("epoch", (os.getpid(), place.threads))
    if task == "dies" or (task.startswith("/") and not os.path.exists(task)):  # noqa: PTH110 (nothing to import)
        if task != "dies":
            os.close(os.open(task, os.O_CREAT))
        os.kill(os.getpid(), signal.SIGKILL)
    return "made", task


def all_events(tasks, jobs):
    events = []
    with Workers([Placement(threads=1)] * jobs, do) as workers:
        while tasks or workers.under_way:
            while tasks and workers.has_room:
                workers.give(tasks.pop(0))
            events += workers.events()
        processes = list(workers._pipes)
    assert not any(process.is_alive() for process in processes)
    return events


@pytest.mark.slow
def test_workers_do_one_task_after_the_other():
    events = all_events(["a", "b", "c", "d", "e"], jobs=2)
    assert sorted(value for event, _, value in events if event == "made") == ["a", "b", "c", "d", "e"]
    told = [value for event, _, value in events if event == "epoch"]
    assert len(told) == 5
    assert len({pid for pid, _ in told}) == 2
    assert {threads for _, threads in told} == {1}


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_task_is_tried_once_more(tmp_path):
    once = str(tmp_path / "died once")
    events = [event for event in all_events([once, "dies", "a"], jobs=1) if event[0] != "epoch"]
    how = "was killed by SIGKILL (out of memory? Try fewer --jobs)"
    assert events == [
        ("died", once, how),
        ("made", once, once),
        ("died", "dies", how),
        ("failed", "dies", f"its process {how}, twice"),
        ("made", "a", "a"),
    ]
