import dataclasses
from unittest.mock import Mock

import pytest
import torch

from dynprune_lib.errors import SpecError, SweepError
from dynprune_lib.experiments import sweep as sweep_module
from dynprune_lib.experiments.data import DataError
from dynprune_lib.experiments.locks import use_device
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from tests.helpers import results


@pytest.fixture
def specs(spec):
    return [dataclasses.replace(spec, seed=seed, epochs=2) for seed in range(3)]


def test_what_is_missing_is_made_and_nothing_twice(store, specs, capsys):
    sweep(specs[:1], Plan(store))
    made = store.load(specs[0])
    sweep(specs, Plan(store))
    assert all(store.has(spec) for spec in specs)
    assert store.load(specs[0]) == made
    lines = capsys.readouterr().err.splitlines()  # and no bar in a file
    assert [line.split(":")[0] for line in lines] == [f"ucb 50%, 2 epochs, seed {seed}" for seed in range(3)]
    sweep(specs, Plan(store))
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_several_processes_make_the_same_records_of_any_sampler_and_one_that_fails_stops_no_other(tmp_path, specs):
    own = dataclasses.replace(specs[0], sampler="tests.own_sampler:LowestLoss", settings={"noise": 0.1})
    alone, wrong = (dataclasses.replace(specs[0], **change) for change in ({"alone": True}, {"batch_size": 5_000}))
    message = "keeps 718 of 1437 samples, fewer than one batch of 5000"
    one, two = stores = Store(tmp_path / "one"), Store(tmp_path / "two")
    for jobs, store in enumerate(stores, 1):
        with pytest.raises(SweepError, match=f"^{wrong.name}: .*{message}.*$"):
            sweep([wrong, *specs, own, alone], Plan(store, jobs=jobs, threads=1))
        assert message in store.failure(wrong)
        assert [path.name for path in (store.folder / ".running").iterdir()] == [f"{wrong.name}.failed"]
    for spec in (*specs, own, alone):
        assert results(one.load(spec)) == results(two.load(spec))
        assert two.load(spec).environment["jobs"] == (1 if spec.alone else 2)


class Clock:
    """Every look at it takes a second."""

    now = 0

    def time(self):
        self.now += 1
        return self.now


def test_a_deadline_stops_before_it_and_loses_nothing(store, specs, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(sweep_module, "time", clock)
    long = dataclasses.replace(specs[0], epochs=100)
    sweep([long, *specs], Plan(store, deadline=20))
    assert 15 < clock.now <= 20
    assert len(store.load_checkpoint(long, {})["epochs"]) > 1
    sweep(specs, Plan(store, deadline=clock.now - 1))
    assert store.records() == []


@pytest.mark.filterwarnings("error")
def test_what_another_process_makes_or_needs_is_left_to_it(store, specs, tmp_path, monkeypatch):
    with store.claim(specs[0]):
        sweep(specs, Plan(store))
    assert [store.has(spec) for spec in specs] == [False, True, True]
    monkeypatch.setenv("DYNPRUNE_CACHE", str(tmp_path))
    alone = dataclasses.replace(specs[0], alone=True)
    with use_device(torch.device("cpu"), alone=False):
        sweep([alone], Plan(store))
    assert not store.has(alone)


def test_an_interrupt_names_the_run_under_way(store, specs, monkeypatch):
    monkeypatch.setattr(sweep_module, "make_run", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt, match=f"interrupted, {specs[0].name} under way; the same command resumes"):
        sweep(specs, Plan(store))


def test_a_wrong_run_and_missing_data_are_told_before_any_training(store, specs, tmp_path):
    with pytest.raises(SpecError, match=r"prune_rate is 1\.5: it must be a number in"):
        sweep([*specs, dataclasses.replace(specs[0], prune_rate=1.5)], Plan(store))
    elsewhere = dataclasses.replace(specs[0], dataset="cifar10", model="small")
    with pytest.raises(DataError, match="data_batch_1 is missing"):
        sweep([*specs, elsewhere], Plan(store, tmp_path))
    assert store.records() == []
