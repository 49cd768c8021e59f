"""`torchrun -m dynprune_lib train`: two real processes on the CPU, beside one."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.experiments.train import train
from dynprune_lib.paths import root
from tests.helpers import Stop, free_port, stop_after

pytestmark = pytest.mark.slow

OPTIONS = {"dataset": "digits", "model": "tiny", "prune_rate": 0.5, "epochs": 8, "batch_size": 32}


def command(ranks, results, rendezvous=("--standalone",), **options):
    # Standalone: at a free port, for the notebooks start processes of their own while these tests run.
    torchrun = ["torch.distributed.run", *rendezvous, f"--nproc-per-node={ranks}", "-m"]
    launcher = [sys.executable, "-m", *(torchrun if ranks else [])]
    given = {name.replace("_", "-"): value for name, value in (OPTIONS | options).items()}
    words = [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]
    return [*launcher, "dynprune_lib", "train", *words, f"--results={results}"]


def launched_as(rank, port):
    """What torchrun tells a process that it starts: two of them are killed more surely without it."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {"TORCHELASTIC_RUN_ID": "test"} | {name: str(value) for name, value in names.items()}


def start(ranks, results, environment=None, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {})
    where = {"cwd": root(), "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(ranks, results, **options), **where)


def call(*arguments, **options):
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def made(folder, sampler="dynamic-random", **options):
    store, spec = Store(folder / "train"), RunSpec(sampler=sampler, **OPTIONS | options)
    return store.load(spec), store.selections(spec)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    specs = [RunSpec(sampler=sampler, **OPTIONS) for sampler in ("dynamic-random", "ucb")]
    sweep(specs, Plan(Store(folder / "train"), threads=1))
    return folder


@pytest.mark.parametrize("sampler", ["dynamic-random", "ucb"])
def test_two_processes_train_on_the_samples_that_one_trains_on(alone, tmp_path, sampler):
    code, out, err = call(2, tmp_path, sampler=sampler)
    assert code == 0, err
    assert out.count("test accuracy") == 1  # one of them tells
    record, selections = made(tmp_path, sampler)
    expected, expected_selections = made(alone, sampler)
    assert record.environment["ranks"] == 2
    for epoch, of_one in zip(record.epochs, expected.epochs, strict=True):
        for name in ("samples_kept", "steps", "forward_passes", "backward_passes"):
            assert getattr(epoch, name) == getattr(of_one, name)
    assert record.test_accuracy == pytest.approx(expected.test_accuracy, abs=0.1)
    if sampler == "dynamic-random":
        assert np.array_equal(selections, expected_selections)
    assert selections.sum() == expected_selections.sum()


def test_ranks_select_by_the_scores_of_one_model_although_its_statistics_differ(tmp_path):
    code, _, err = call(2, tmp_path, sampler="ucb", rescore=True, epochs=3)
    assert code == 0, err
    _, selections = made(tmp_path, "ucb", rescore=True, epochs=3)
    assert selections.sum() == 3 * round(0.5 * 1437)


def test_a_run_goes_on_with_another_number_of_processes(tmp_path, digits):
    port = free_port()
    ranks = [start(0, tmp_path, launched_as(rank, port), sampler="ucb", epochs=300) for rank in range(2)]
    checkpoints = tmp_path / "train" / ".running"
    while not list(checkpoints.glob("*.pt")):
        assert [process.poll() for process in ranks] == [None, None]
        time.sleep(0.05)
    for process in ranks:
        process.kill()
        process.communicate()
    store, spec = Store(tmp_path / "train"), RunSpec(sampler="ucb", **OPTIONS | {"epochs": 300})
    begun = store.load_checkpoint(spec, {})["epochs"]
    assert 0 < len(begun) < 300
    with pytest.raises(Stop):
        train(spec, digits, store, stop_after(1))
    assert len(store.load_checkpoint(spec, {})["epochs"]) == len(begun) + 1


def test_what_cannot_be_shared_is_refused(tmp_path):
    code, _, err = call(2, tmp_path, sampler="ucb", batch_size=33)
    assert code != 0
    assert "batch_size 33 cannot be shared equally by 2 processes" in err
    code, _, err = call(2, tmp_path, sampler="forget")
    assert code != 0
    assert "are computed by one process: start it without torchrun first" in err


def test_two_nodes_train_on_the_samples_that_one_process_trains_on(alone, tmp_path):
    rendezvous = ["--nnodes=2", f"--master-port={free_port()}", "--master-addr=127.0.0.1"]
    nodes = [start(1, tmp_path, rendezvous=[*rendezvous, f"--node-rank={node}"], sampler="ucb") for node in range(2)]
    for node in nodes:
        _, err = node.communicate(timeout=120)
        assert node.returncode == 0, err
    record, selections = made(tmp_path, "ucb")
    expected, expected_selections = made(alone, "ucb")
    assert record.environment["ranks"] == 2
    assert [epoch.backward_passes for epoch in record.epochs] == [epoch.backward_passes for epoch in expected.epochs]
    assert selections.sum() == expected_selections.sum()
    assert record.test_accuracy == pytest.approx(expected.test_accuracy, abs=0.1)
