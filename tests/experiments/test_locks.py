"""Locks on files: of runs, and of devices."""

import errno
import threading
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from dynprune_lib.errors import Busy
from dynprune_lib.experiments import locks
from dynprune_lib.experiments.locks import lock, use_device

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNPRUNE_CACHE", str(tmp_path))


@pytest.mark.filterwarnings("error")
def test_a_file_system_without_locks_is_said_once(tmp_path, monkeypatch):
    no_locks = Mock(side_effect=OSError(errno.ENOTSUP, "Operation not supported"))
    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    with pytest.warns(UserWarning, match="has no locks: two sweeps over it may make a run twice"), lock(tmp_path / "a"):
        pass
    with lock(tmp_path / "b"):
        pass


def test_runs_share_a_device_and_none_of_them_has_it_alone():
    with (
        use_device(CPU, alone=False),
        use_device(CPU, alone=False),
        use_device(GPU, alone=True),
        pytest.raises(Busy, match="another run uses the device cpu"),
        use_device(CPU, alone=True),
    ):
        pass
    with use_device(CPU, alone=True):
        pass


def test_who_comes_while_a_run_is_alone_says_so_and_waits_for_its_end(capsys):
    alone, ended = use_device(CPU, alone=True), threading.Event()
    alone.__enter__()

    def end():
        ended.set()
        alone.__exit__(None, None, None)

    threading.Timer(0.1, end).start()
    with use_device(CPU, alone=False):
        assert ended.is_set()
    assert capsys.readouterr().err == "waiting for a timing run on the device cpu\n"


def test_other_machines_and_other_gpus_of_the_same_number_are_other_devices(monkeypatch):
    job = {"gpu": "one"}  # what CUDA_VISIBLE_DEVICES shows to a job
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid=job["gpu"]))
    with use_device(GPU, alone=True):
        job["gpu"] = "two"
        with use_device(GPU, alone=True):
            monkeypatch.setattr("socket.gethostname", lambda: "another-node")  # with the same home
            with use_device(GPU, alone=True):
                pass
