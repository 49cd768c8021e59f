"""Worker processes, and where they compute: GPUs that this machine may not have are stood in for."""

import os
import signal
from pathlib import Path

import pytest
import torch

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.sweep import available_devices
from dynprune_lib.experiments.workers import Placement, Workers, placements

GPUS = ["cuda:0", "cuda:1", "cuda:2"]


def test_devices_are_all_visible_gpus_or_those_that_are_chosen_else_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert available_devices() == GPUS
    assert available_devices((2, 0)) == [GPUS[2], GPUS[0]]
    not_visible = "device 3 is not visible to this process: choose from 0 to 2; see CUDA_VISIBLE_DEVICES"
    with pytest.raises(SpecError, match=not_visible):
        available_devices((0, 3))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert available_devices() == ["cpu"]
    with pytest.raises(SpecError, match="device 0 is not visible to this process: no GPU is"):
        available_devices((0,))


def test_workers_take_the_gpus_in_turn_and_on_a_cpu_have_cores_of_their_own(monkeypatch):
    places = placements(3, GPUS[:2], threads=1)
    assert [(place.device, place.sharing) for place in places] == [(GPUS[0], 2), (GPUS[1], 1), (GPUS[0], 2)]
    assert {place.cores for place in places} == {()}
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
    """In place of what a worker of a sweep does: a task that is a path dies where there is no such file."""
    report("epoch", place.threads)
    if task.startswith("/") and not Path(task).exists():
        if "once" in task:
            Path(task).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "made", task


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_task_is_tried_once_more(tmp_path):
    once, twice = str(tmp_path / "once"), str(tmp_path / "twice")
    tasks, events = [once, twice, "a"], []
    with Workers([Placement(threads=1)], do) as workers:
        while tasks or workers.under_way:
            while tasks and workers.has_room:
                workers.give(tasks.pop(0))
            events += workers.events()
        processes = list(workers._pipes)
    assert not any(process.is_alive() for process in processes)
    assert [value for event, _, value in events if event == "epoch"] == [1] * 5  # the threads of each try
    how = "was killed by SIGKILL (out of memory? Try fewer --jobs)"
    of_once = [("died", once, how), ("made", once, once)]
    of_twice = [("died", twice, how), ("failed", twice, f"its process {how}, twice")]
    assert [event for event in events if event[0] != "epoch"] == [*of_once, *of_twice, ("made", "a", "a")]
