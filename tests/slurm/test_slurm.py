"""A sweep on a real Slurm of one node: its jobs are killed, pre-empted and requeued, and make the same records."""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from tests.helpers import ROOT, environment, free_port, results

COMMANDS = ("slurmctld", "slurmd", "sbatch", "munged")
SEEDS = range(20)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, COMMANDS)), reason=f"not installed: one of {', '.join(COMMANDS)}"),
    pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="a Slurm of one node is started by root"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Run a command with Slurm; returns its output."""
    pytest.importorskip("submitit", reason="the extra cluster is not installed")
    folder = tmp_path_factory.mktemp("slurm")
    script = ["bash", str(ROOT / "tests" / "slurm" / "one_node.sh"), str(folder), "3", str(free_port())]
    with (folder / "out").open("w") as out:
        cluster = subprocess.Popen(script, stdout=out, stderr=out)
    in_cluster = environment(SLURM_CONF=str(folder / "slurm.conf"))

    def call(*words):
        command = subprocess.run(list(map(str, words)), cwd=ROOT, env=in_cluster, capture_output=True, text=True)
        assert command.returncode == 0, command.stdout + command.stderr
        return command.stdout

    wait_for(lambda: "ready" in (folder / "out").read_text() or cluster.poll() is not None)
    if cluster.poll() is not None:
        pytest.skip(f"Slurm does not start here: {(folder / 'out').read_text()[-500:]}")
    yield call
    cluster.terminate()
    cluster.wait(60)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_jobs_that_are_killed_pre_empted_and_requeued_make_the_records_of_a_sweep(slurm, tmp_path):
    specs = load_profile("smoke").runs("quickstart", SEEDS)
    store, alone = Store(tmp_path / "smoke"), Store(tmp_path / "alone")
    which = ["smoke", "--experiment", "quickstart", *(f"--seed={seed}" for seed in SEEDS), "--results", tmp_path]
    dynprune = [sys.executable, "-m", "dynprune_lib"]

    node = slurm("sinfo", "--noheader", "--format=%n").strip()

    def show(job):
        return slurm("scontrol", "show", "job", job)

    def start_again(job):
        """Requeued jobs begin after two minutes: begin this one now."""
        wait_for(lambda: "JobState=PENDING" in show(job))
        slurm("scontrol", "update", f"JobId={job}", "StartTime=now")

    options = ["--cluster=slurm", "--jobs=3", "--minutes=10", "--gpus=0", "--partition=main"]
    number = re.search(r"jobs \(slurm\): (\d+)_0", slurm(*dynprune, "sweep", *which, *options))[1]
    jobs = [f"{number}_{index}" for index in range(3)]
    assert re.search(rf"job {number}_\S+: (PENDING|RUNNING)", slurm(*dynprune, "status", *which))
    wait_for(lambda: len(list(store.folder.rglob("*.lock"))) == 3)
    slurm("scancel", "--signal=KILL", jobs[0])
    slurm("scancel", "--signal=USR2", jobs[1])  # as Slurm does before a time limit
    slurm("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    wait_for(lambda: re.search("JobState=(PENDING|FAILED)", show(jobs[0])))
    if "JobState=FAILED" in show(jobs[0]):  # otherwise Slurm has requeued it by itself
        slurm("scontrol", "requeue", jobs[0])
    assert "drain" in slurm("sinfo", "--noheader", "--format=%T")
    slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    for job in jobs[:2]:
        start_again(job)
    wait_for(lambda: len(store.records()) == len(specs))
    for job in jobs[:2]:
        assert "Restarts=1 " in show(job)
        wait_for(lambda job=job: "JobState=COMPLETED" in show(job))
    sweep(specs[:10], Plan(alone, threads=1))
    for spec in specs[:10]:
        assert results(store.load(spec)) == results(alone.load(spec))
    assert f"smoke: {len(specs)} made, 0 running, 0 failed, 0 missing" in slurm(*dynprune, "status", *which)
