"""Sweeps as jobs: with submitit's executors for this machine, and with a Slurm that only keeps what it is given."""

import signal
from dataclasses import replace

import psutil
import pytest

from dynprune_lib.errors import SpecError, SweepError
from dynprune_lib.experiments import sweep as sweep_module
from dynprune_lib.experiments.cluster import Chunk, Request, chunks, submit
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from tests.helpers import results, wait_until

SPECS = load_profile("smoke").runs("quickstart", [0, 1])
LOCAL = Request("local", minutes=30, gpus=0)


@pytest.fixture
def plan(store):
    return Plan(store, threads=1)


@pytest.fixture
def short(spec):
    return [replace(spec, seed=seed, epochs=2) for seed in range(3)]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands of a Slurm that keeps the script of the jobs; returns where."""
    kept = tmp_path / "script"
    for name, action in {"srun": "true", "sbatch": f'cp "$1" {kept}; echo Submitted batch job 7'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{action}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return kept


def test_runs_with_the_same_scores_are_in_one_chunk(spec):
    el2n = replace(spec, sampler="el2n", settings={})
    static = [replace(el2n, prune_rate=rate, seed=seed) for seed in (0, 1) for rate in (0.3, 0.5, 0.7)]
    dynamic = [replace(spec, seed=seed) for seed in range(3)]
    made = chunks([dynamic[0], static[0], dynamic[1], *static[1:], dynamic[2]], size=2)
    assert made == [(dynamic[0],), tuple(static[:3]), (dynamic[1],), tuple(static[3:]), (dynamic[2],)]
    assert chunks(dynamic, size=2) == [tuple(dynamic[:2]), tuple(dynamic[2:])]


@pytest.mark.slow
def test_a_job_that_is_pre_empted_is_requeued_and_makes_the_records_of_a_sweep(plan, tmp_path):
    (job,) = submit(SPECS, plan, LOCAL, "test")
    assert wait_until(plan.store.records, 60)
    (process,) = psutil.Process(job._process.pid).children()  # job._interrupt() would end the one that watches it
    process.send_signal(signal.SIGUSR2)
    job.result()
    assert "Requeued job" in job.stdout() + job.stderr()
    alone = Store(tmp_path / "alone")
    sweep(SPECS, Plan(alone, threads=1))
    assert [results(plan.store.load(spec)) for spec in SPECS] == [results(alone.load(spec)) for spec in SPECS]
    assert submit(SPECS, plan, LOCAL, "test") == []  # nothing is missing


@pytest.mark.slow
def test_two_jobs_that_make_a_run_twice_end_with_its_one_record(plan, short, monkeypatch):
    monkeypatch.setattr(Store, "has", lambda *_: False)
    original = sweep_module.make_run

    def both(spec, data, store, *rest):
        record = original(spec, data, store, *rest)
        assert results(original(spec, data, store, *rest)) == results(record)
        return record

    monkeypatch.setattr(sweep_module, "make_run", both)
    Chunk(tuple(short), plan)()
    assert len(plan.store.records()) == len(short)
    assert not list(plan.store.folder.glob(".*.json*"))


@pytest.mark.slow
def test_a_run_that_fails_is_left_to_the_next_submission(plan, short, monkeypatch):
    wrong = replace(short[0], batch_size=5_000)
    job = Chunk((wrong, *short), plan)
    with pytest.raises(SweepError, match="fewer than one batch of 5000"):
        job()
    assert all(plan.store.has(spec) for spec in short)
    monkeypatch.setattr(sweep_module, "make_run", lambda *_: pytest.fail("tried again"))
    with pytest.raises(SweepError, match="fewer than one batch of 5000"):
        job.checkpoint().function()  # as when it is requeued
    others = [replace(wrong, seed=seed) for seed in range(3, 6)]
    jobs = submit([wrong, *others], plan, replace(LOCAL, cluster="debug", jobs=2), "test")  # begin when waited for
    assert [len(job._submission.function.specs) for job in jobs] == [2, 2]
    assert plan.store.failure(wrong) is None


def test_slurm_is_told_what_was_asked_for(plan, short, slurm):
    options = {"account": "abc", "cpus_per_task": 4}
    request = Request("slurm", minutes=30, jobs=2, chunk=1, partition="gpu", gpus=2, options=options)
    jobs = submit(short, plan, request, "dynprune-smoke")
    assert [each.job_id for each in jobs] == ["7_0", "7_1", "7_2"]
    given = "array=0-2%2 time=30 partition=gpu gpus-per-node=2 account=abc cpus-per-task=4 job-name=dynprune-smoke"
    for line in (*given.split(), "signal=USR2@90"):
        assert f"#SBATCH --{line}\n" in slurm.read_text()
    submit(short, plan, Request("slurm", minutes=2.4, gpus=0), "test")
    assert "gpus" not in slurm.read_text()
    assert "--time=3\n" in slurm.read_text()  # Slurm has whole minutes


@pytest.mark.usefixtures("slurm")
def test_what_slurm_does_not_know_is_named(plan, short, monkeypatch, tmp_path):
    with pytest.raises(SpecError, match=r"--slurm: Unknown argument 'colour' .* Valid arguments: "):
        submit(short, plan, Request("slurm", minutes=9, options={"colour": "red"}), "test")
    with pytest.raises(SpecError, match="unknown cluster 'moon': there are slurm, local, debug"):
        Request("moon", minutes=9)
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho no such partition >&2; exit 1\n")
    with pytest.raises(SweepError, match=r"--cluster slurm: (?s:.*)no such partition"):
        submit(short, plan, Request("slurm", minutes=9), "test")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SweepError, match="--cluster slurm: Could not detect"):
        submit(short, plan, Request("slurm", minutes=9), "test")
