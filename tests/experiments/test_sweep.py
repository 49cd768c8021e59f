import dataclasses
import json
import warnings

import pytest

from dynprune_lib.errors import SweepError
from dynprune_lib.experiments import leases
from dynprune_lib.experiments import plan as plan_module
from dynprune_lib.experiments import sweep as sweep_module
from dynprune_lib.experiments.data import DataError
from dynprune_lib.experiments.owners import Owner
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, ensure_runs, sweep
from tests.helpers import results


@pytest.fixture
def specs(spec):
    return [dataclasses.replace(spec, seed=seed, epochs=2) for seed in range(3)]


def test_what_is_missing_is_made_and_nothing_twice(store, specs, capsys):
    sweep(specs[:1], Plan(store))
    made = store.load(specs[0])
    sweep(specs, Plan(store))
    assert [store.load(spec) is not None for spec in specs] == [True] * 3
    assert store.load(specs[0]) == made
    shown = capsys.readouterr().err
    assert "ucb 50% seed 2" in shown
    assert "samples/s" in shown
    sweep(specs, Plan(store))
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_several_processes_make_the_same_records(tmp_path, specs):
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    sweep(specs, Plan(one, threads=1))
    sweep(specs, Plan(two, jobs=2, threads=1))
    for spec in specs:
        assert results(one.load(spec)) == results(two.load(spec))
        assert two.load(spec).environment["jobs"] == 2


class Clock:
    """Every look at it takes a second."""

    now = 0

    def time(self):
        self.now += 1
        return self.now


def test_a_deadline_stops_before_it_and_loses_nothing(store, specs, monkeypatch):
    clock = Clock()
    for module in (sweep_module, plan_module):
        monkeypatch.setattr(module, "time", clock)
    long = dataclasses.replace(specs[0], epochs=100)
    sweep([long, *specs], Plan(store, deadline=20))
    assert 15 < clock.now <= 20
    assert len(store.load_checkpoint(long, {})["epochs"]) > 1
    sweep(specs, Plan(store, deadline=clock.now - 1))
    assert store.records() == []


def test_a_run_that_fails_does_not_stop_the_others(store, specs):
    wrong = dataclasses.replace(specs[0], batch_size=5_000)
    with pytest.raises(SweepError, match="keeps 718 of 1437 samples, fewer than one batch of 5000"):
        sweep([wrong, *specs], Plan(store))
    assert all(store.load(spec) for spec in specs)


def test_missing_data_is_told_before_any_training(store, specs, tmp_path):
    elsewhere = dataclasses.replace(specs[0], dataset="cifar10", model="small")
    with pytest.raises(DataError, match="data_batch_1 is missing"):
        sweep([*specs, elsewhere], Plan(store, tmp_path))
    assert store.records() == []


def test_a_run_that_another_process_makes_is_left_to_it(store, specs):
    with store.claim(specs[0]), warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep(specs, Plan(store))
    assert [store.load(spec) is not None for spec in specs] == [False, True, True]


def test_a_run_whose_owner_on_another_machine_has_ended_is_taken_over(store, specs, monkeypatch):
    path = store.lease(specs[0])
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(dataclasses.asdict(dataclasses.replace(Owner.this_process(), machine="elsewhere"))))
    now = 0.0

    def sleep(_):
        nonlocal now
        now += leases.DURATION / 3

    monkeypatch.setattr(leases.time, "monotonic", lambda: now)
    monkeypatch.setattr(leases.time, "sleep", sleep)
    sweep(specs, Plan(store))
    assert now >= leases.DURATION
    assert all(store.load(spec) for spec in specs)


@pytest.mark.slow
def test_ensure_runs_gives_the_records_of_a_figure(tmp_path):
    records = ensure_runs(load_profile("smoke"), "quickstart", results=tmp_path, seeds=[5])
    assert [(record.spec.sampler, record.spec.seed) for record in records] == [("full", 5), ("ucb", 5)]
    assert ensure_runs(load_profile("smoke"), "quickstart", results=tmp_path, seeds=[5]) == records
