"""Sweeps as jobs: with submitit's executors for this machine, and with a Slurm that only keeps what it is given."""

import signal
import time
from dataclasses import replace

import pytest

from dynprune_lib import stopping
from dynprune_lib.errors import SpecError, SweepError
from dynprune_lib.experiments import cluster
from dynprune_lib.experiments.cluster import Request, SweepJob, submit, wait
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from tests.helpers import results

pytest.importorskip("submitit", reason="the extra cluster is not installed")
slow = pytest.mark.slow

SPECS = load_profile("smoke").runs("quickstart")


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "POLL", 0.1)
    return SweepJob("smoke", minutes=30, experiment="quickstart", results=tmp_path)


@pytest.fixture
def requeued(monkeypatch):
    """The requests to be requeued that a job in this process makes."""
    requests = []
    monkeypatch.setattr(cluster, "_requeue", lambda: requests.append("requeue"))
    return requests


@pytest.fixture
def specs(monkeypatch, spec):
    """The runs of jobs in this process: three that are short."""
    short = [replace(spec, seed=seed, epochs=2) for seed in range(3)]
    monkeypatch.setattr(SweepJob, "specs", short)
    return short


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands of a Slurm that keeps the script of the jobs; returns where."""
    kept = tmp_path / "script"
    for name, action in {"srun": "true", "sbatch": f'cp "$1" {kept}; echo Submitted batch job 7'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{action}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return kept


@slow
def test_jobs_make_the_records_of_a_sweep(job, tmp_path):
    wait(submit(job, Request("local", jobs=2, gpus=0)))
    alone = Store(tmp_path / "alone")
    sweep(SPECS, Plan(alone, threads=1))
    assert [results(job.store.load(spec)) for spec in SPECS] == [results(alone.load(spec)) for spec in SPECS]
    assert submit(job, Request("local", jobs=2)) == []  # nothing is missing


@slow
def test_a_job_that_is_pre_empted_is_requeued_and_goes_on(job):
    (submitted,) = submit(job, Request("local", gpus=0))
    while not job.store.records():
        time.sleep(0.01)
    submitted._process.send_signal(signal.SIGTERM)
    wait([submitted])
    assert len(job.store.records()) == len(SPECS)
    assert "Requeued job" in submitted.stdout() + submitted.stderr()


def test_a_job_whose_time_is_up_is_requeued_until_no_run_is_missing(job, specs, requeued):
    short = replace(job, minutes=0)
    short(0)
    assert requeued == ["requeue"]
    job(0)
    assert all(job.store.has(spec) for spec in specs)
    short(0)
    assert requeued == ["requeue"]


@pytest.mark.parametrize("number", sorted(stopping.PREEMPTION))
def test_a_signal_stops_a_job_after_the_epoch_under_way(job, specs, requeued, monkeypatch, number):
    def interrupted(*_):
        signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "note", interrupted)  # after the first epoch of the first run
        job(0)
    assert requeued == ["requeue"]
    assert len(job.store.load_checkpoint(specs[0], {})["epochs"]) == 1
    assert not stopping.is_requested()
    job(0)
    assert all(job.store.has(spec) for spec in specs)


@pytest.mark.usefixtures("specs")
def test_an_epoch_that_takes_too_long_is_not_waited_for(job, requeued, monkeypatch):
    def long_epoch(*_):
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(cluster, "GRACE", 0.01)
    monkeypatch.setattr("dynprune_lib.experiments.train.train_epoch", long_epoch)
    job(0)
    assert requeued == ["requeue"]


def test_a_run_that_fails_is_left_to_the_next_submission(job, specs, requeued, monkeypatch):
    monkeypatch.setattr(SweepJob, "specs", [replace(specs[0], batch_size=5_000), *specs])
    with pytest.raises(SweepError, match="fewer than one batch of 5000"):
        job(0)
    assert all(job.store.has(spec) for spec in specs)
    assert "fewer than one batch of 5000" in job.store.failure(job.specs[0])
    job(0)  # nothing is left to do
    assert requeued == []
    submit(job, Request("debug"))  # which begins when it is waited for
    assert job.store.failure(job.specs[0]) is None


def test_a_job_without_a_handler_of_submitit_ends(monkeypatch):
    monkeypatch.setattr(signal, "raise_signal", lambda _: pytest.fail("this process would end"))
    cluster._requeue()


def test_slurm_is_told_what_was_asked_for(job, slurm):
    options = {"account": "abc", "cpus_per_task": 4}
    jobs = submit(job, Request("slurm", jobs=3, partition="gpu", gpus=2, options=options))
    assert [each.job_id for each in jobs] == ["7_0", "7_1", "7_2"]
    script = slurm.read_text()
    for line in ("array=0-2%3", "time=30", "partition=gpu", "gpus-per-node=2", "account=abc", "cpus-per-task=4"):
        assert f"#SBATCH --{line}\n" in script
    assert "#SBATCH --job-name=dynprune-smoke\n" in script
    assert "#SBATCH --signal=USR2@90\n" in script
    submit(replace(job, minutes=2.4), Request("slurm", gpus=0))
    assert "gpus" not in slurm.read_text()
    assert "--time=3\n" in slurm.read_text()  # Slurm has whole minutes


@pytest.mark.usefixtures("slurm")
def test_what_slurm_does_not_know_is_named(job, monkeypatch, tmp_path):
    with pytest.raises(SpecError, match=r"--slurm: Unknown argument 'colour' .* Valid arguments: "):
        submit(job, Request("slurm", options={"colour": "red"}))
    with pytest.raises(SpecError, match="unknown cluster 'moon': there are slurm, local, debug"):
        Request("moon")
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho no such partition >&2; exit 1\n")
    with pytest.raises(SweepError, match=r"--cluster slurm: (?s:.*)no such partition"):
        submit(job, Request("slurm"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SweepError, match="--cluster slurm: Could not detect"):
        submit(job, Request("slurm"))
