"""A sweep on a real Slurm of one node: its jobs are pre-empted and requeued, and make the same records."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from tests.helpers import ROOT, environment, free_port, results, wait_until

COMMANDS = ("slurmctld", "slurmd", "sbatch", "munged")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.full,
    pytest.mark.skipif(not all(map(shutil.which, COMMANDS)), reason=f"not installed: one of {', '.join(COMMANDS)}"),
    pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="a Slurm of one node is started by root"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Run a command with Slurm; returns its output."""
    folder = tmp_path_factory.mktemp("slurm")
    script = ["bash", str(ROOT / "tests" / "slurm" / "one_node.sh"), str(folder), "3", str(free_port())]
    with (folder / "out").open("w") as out:
        cluster = subprocess.Popen(script, stdout=out, stderr=out)
    in_cluster = environment(SLURM_CONF=str(folder / "slurm.conf"))

    def call(*words):
        command = subprocess.run(list(map(str, words)), cwd=ROOT, env=in_cluster, capture_output=True, text=True)
        assert command.returncode == 0, command.stdout + command.stderr
        return command.stdout

    assert wait_until(lambda: "ready" in (folder / "out").read_text() or cluster.poll() is not None)
    if cluster.poll() is not None:
        pytest.skip(f"Slurm does not start here: {(folder / 'out').read_text()[-500:]}")
    yield call
    cluster.terminate()
    cluster.wait(60)


def test_jobs_that_are_pre_empted_and_requeued_make_the_records_of_a_sweep(slurm, tmp_path):
    profile, seeds = load_profile("smoke"), (0,)
    experiment = "static_pruning_and_its_cost"  # whose runs share scores
    specs, store = profile.runs(experiment, seeds), Store(tmp_path / "smoke")
    which = ["smoke", "--experiment", experiment, *(f"--seed={seed}" for seed in seeds), "--results", tmp_path]
    dynprune = [sys.executable, "-m", "dynprune_lib"]
    options = ["--cluster=slurm", "--jobs=3", "--chunk=4", "--minutes=10", "--gpus=0", "--partition=main"]
    number = re.search(r"jobs \(slurm\): (\d+)_0", slurm(*dynprune, "sweep", *which, *options))[1]

    def show(index):
        return slurm("scontrol", "show", "job", f"{number}_{index}")

    def is_training():  # each job is amid one
        return len(list(store.folder.glob(".running/*.lock"))) >= 3

    assert wait_until(is_training)
    slurm("scancel", "--signal=USR2", f"{number}_0")  # as Slurm does before a time limit
    slurm("scontrol", "requeue", f"{number}_1")
    assert wait_until(lambda: all("Restarts=1 " in show(index) for index in (0, 1)))
    assert wait_until(lambda: len(store.records()) == len(specs))
    assert wait_until(lambda: not slurm("squeue", "--noheader", f"--jobs={number}").strip())
    assert f"smoke: {len(specs)} made, 0 failed, 0 missing" in slurm(*dynprune, "status", *which)
    alone = Store(tmp_path / "alone")
    some = [spec for spec in specs if spec.sampler in ("full", "forget")]
    sweep(some, Plan(alone, threads=1))
    assert [results(store.load(spec)) for spec in some] == [results(alone.load(spec)) for spec in some]
