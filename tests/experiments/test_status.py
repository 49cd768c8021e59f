import time
from dataclasses import replace

import pytest

from dynprune_lib.experiments import owners
from dynprune_lib.experiments.owners import Owner
from dynprune_lib.experiments.status import queued_jobs, status_of
from tests.helpers import make_record, save_record


def test_a_run_is_missing_running_failed_or_made(store, spec):
    assert str(status_of(spec, store)) == f"missing  {spec.name}"
    with store.claim(spec):
        status = status_of(spec, store)
        assert status.state == "running"
        owner = Owner.this_process()
        assert f"begun, process {owner.pid} of {owner.host} since {time.strftime('%Y-')}" in status.detail
    store.save_failure(spec, f"{spec.name}: no memory")
    assert str(status_of(spec, store)) == f"failed   {spec.name}: no memory"
    save_record(store.folder, make_record(spec))
    assert str(status_of(spec, store)) == f"made     {spec.name}"


def test_a_run_whose_process_has_ended_is_missing(store, spec, monkeypatch):
    with store.claim(spec):
        monkeypatch.setattr(owners, "_is_alive", lambda *_: False)
        assert status_of(spec, store).state == "missing"


def test_a_running_run_says_which_epoch(store, spec, monkeypatch):
    monkeypatch.setattr("dynprune_lib.experiments.leases.RENEWAL", 0.01)
    with store.claim(spec):
        store.note(spec, "epoch 2 of 4")
        while "epoch 2 of 4, process" not in status_of(spec, store).detail:
            pass
    store.note(replace(spec, seed=1), "epoch of a run that is not held")


@pytest.mark.parametrize(
    ("action", "lines"),
    [
        ("echo $3; echo '7_1 RUNNING'", ["--name=dynprune-paper", "7_1 RUNNING"]),
        ("echo 'no server' >&2", ["no server"]),
    ],
)
def test_the_queue_of_slurm_is_shown(tmp_path, monkeypatch, action, lines):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "squeue").write_text(f"#!/bin/sh\n{action}\n")
    (tmp_path / "squeue").chmod(0o755)
    assert queued_jobs("paper") == lines


def test_without_slurm_there_is_no_queue(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queued_jobs("paper") == []
