import dataclasses
import multiprocessing
import threading
from types import SimpleNamespace

import pytest
import torch

from dynprune_lib.errors import DeviceBusy
from dynprune_lib.experiments.device_lock import use_device
from dynprune_lib.experiments.sweep import Plan, sweep

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNPRUNE_CACHE", str(tmp_path))


def hold(alone, held, release):
    with use_device(CPU, alone):
        held.set()
        release.wait(20)


@pytest.fixture
def other():
    """Starts another process that uses the device, until it is told to let go."""
    context = multiprocessing.get_context("spawn")
    processes = []

    def start(alone):
        held, release = context.Event(), context.Event()
        processes.append(context.Process(target=hold, args=(alone, held, release)))
        processes[-1].start()
        assert held.wait(20)
        return processes[-1], release

    yield start
    for process in processes:
        process.kill()
        process.join()


def test_runs_share_a_device_and_none_of_them_has_it_alone(other):
    process, _ = other(alone=False)
    with use_device(CPU, alone=False):
        pass
    with pytest.raises(DeviceBusy, match="another run uses the device cpu"), use_device(CPU, alone=True):
        pass
    with use_device(torch.device("cuda:0"), alone=True):
        pass
    process.kill()
    process.join()
    with use_device(CPU, alone=True):  # a run that was killed is on it no more
        pass


def test_other_machines_and_other_gpus_of_the_same_number_are_other_devices(other, monkeypatch):
    other(alone=True)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "another-node")  # with the same home
        with use_device(CPU, alone=True):
            pass
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    job = {"gpu": "one"}  # what CUDA_VISIBLE_DEVICES shows to a job
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid=job["gpu"]))
    with use_device(torch.device("cuda:0"), alone=True):
        job["gpu"] = "two"
        with use_device(torch.device("cuda:0"), alone=True):
            pass


def test_who_comes_while_a_run_is_alone_waits_for_its_end(other):
    _, release = other(alone=True)
    with pytest.raises(DeviceBusy), use_device(CPU, alone=True):
        pass
    threading.Timer(0.2, release.set).start()
    with use_device(CPU, alone=False):
        assert release.is_set()


def test_who_waits_for_long_says_for_what(other, monkeypatch, capsys):
    monkeypatch.setattr("dynprune_lib.experiments.device_lock.PATIENCE", 0.1)
    _, release = other(alone=True)
    threading.Timer(1.0, release.set).start()
    with use_device(CPU, alone=False):
        assert capsys.readouterr().err == "waiting for a timing run that has the device cpu to itself\n"


def test_a_run_that_wants_the_device_alone_is_left_out_while_another_is_on_it(other, store, spec):
    alone = dataclasses.replace(spec, epochs=1, alone=True)
    process, _ = other(alone=False)
    sweep([alone], Plan(store))
    assert not store.has(alone)
    process.kill()
    process.join()
    together = dataclasses.replace(spec, epochs=1)
    sweep([together, alone], Plan(store, jobs=2, threads=1))
    assert (store.load(alone).environment["jobs"], store.load(together).environment["jobs"]) == (1, 2)
