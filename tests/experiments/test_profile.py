import itertools
import re

import numpy as np
import pytest

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.data import DATASETS
from dynprune_lib.experiments.profile import PROFILES, RECORDED, _absolute, load_profile
from dynprune_lib.experiments.static_scores import scoring_spec
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import root


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_loads_and_has_the_same_experiments(name):
    profile = load_profile(name)
    assert profile.experiments.keys() == load_profile("smoke").experiments.keys()
    assert len({spec.name for spec in profile.runs()}) == len(profile.runs())


@pytest.mark.parametrize("name", ["laptop", "desktop"])
def test_early_scores_cost_one_run_as_in_their_source(name):
    specs = [spec for spec in load_profile(name).runs() if spec.sampler in ("el2n", "grand")]
    assert specs
    assert {spec.settings["models"] * spec.settings["at_epoch"] / spec.epochs for spec in specs} == {1}


def test_every_experiment_names_a_notebook_that_loads_it():
    for name, experiment in load_profile("smoke").experiments.items():
        text = (root() / "notebooks" / f"{experiment.notebook}.ipynb").read_text()
        assert re.search(rf'\(?\\"{name}\\"', text), f"{experiment.notebook} does not load {name}"


def test_units_of_a_size_become_epochs_and_rates():
    row = {"sampler": "ucb", "epochs": 10, "length": 2, "anneal": 0.125, "settings": {"warm_up": 1}}
    assert _absolute(row) == {"sampler": "ucb", "epochs": 20, "settings": {"warm_up": 1, "anneal_from": 18}}
    full = {"sampler": "full", "settings": {}}
    assert _absolute(full | {"epochs": 16, "saved": 0.7}) == full | {"epochs": 5}
    row = {"sampler": "ucb", "epochs": 10, "settings": {"warm_up": 1}}
    assert _absolute(row | {"saved": 0.45})["prune_rate"] == 0.5
    assert _absolute(full | {"epochs": 2, "learning_rate": 0.1, "learning": 2})["learning_rate"] == 0.2
    with pytest.raises(SpecError, match=r"saved is 0.9: lower it, 1 of 10 epochs train on all the data"):
        _absolute(row | {"saved": 0.9})


def test_the_runs_that_the_project_is_about():
    runs = {(spec.sampler, spec.prune_rate, spec.seed) for spec in load_profile("laptop").runs()}
    for case in itertools.product(
        ("dynamic-random", "epsilon-greedy", "ucb", "static-random", "forget", "el2n"), (0.3, 0.5, 0.7, 0.9), (0, 1, 2)
    ):
        assert case in runs
    texts_and_tables = {"trec", "breast_cancer", "hastie", "diabetes", "friedman"}
    assert {spec.dataset for spec in load_profile("laptop").runs()} == {"cifar10", "cifar100"} | texts_and_tables


def test_runs_with_a_data_set_and_a_model_of_their_own_have_one_recipe_at_every_size():
    names = {name: {spec.name for spec in load_profile(name).runs("beyond_images", [0])} for name in PROFILES}
    assert set() == names["resnet18"] == names["desktop"] < names["smoke"] < names["laptop"]
    other = load_profile("smoke", "cifar10")
    assert {spec.name for spec in other.runs("beyond_images", [0])} == names["smoke"]
    assert {spec.dataset for spec in other.runs("quickstart")} == {"cifar10"}


def test_no_run_of_the_smallest_size_needs_a_download():
    assert not any(DATASETS[spec.dataset].download for spec in load_profile("smoke").runs())


def test_the_main_comparison_has_more_seeds_after_those_of_all_runs():
    profile = load_profile("laptop")
    runs = profile.runs("equal_compute_elsewhere")
    usual = [spec for spec in runs if spec.seed < 5]  # the seeds of the figure
    more = runs[len(usual) :]
    assert [spec.seed for spec in more] == [seed for seed in range(5, 10) for _ in range(6)]
    assert {(spec.sampler, spec.epochs, spec.prune_rate) for spec in more} == {
        ("full", 16, 0.0),
        ("full", 8, 0.0),
        *((sampler, 16, 0.5) for sampler in ("rs2", "ucb", "epsilon-greedy", "dynamic-random")),
    }
    assert {spec.seed for spec in profile.runs("equal_compute", seeds=[0])} == {0}


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="unknown profile 'lapto': there are smoke, laptop, desktop, resnet18"):
        load_profile("lapto")
    with pytest.raises(ValueError, match="unknown experiment of profile smoke 'x': there are quickstart"):
        load_profile("smoke").runs("x")


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_the_committed_records_their_arrays_and_their_scores_are_whole(name):
    profile, store = load_profile(name), Store(root() / "results" / name)
    planned = {spec.name for spec in profile.runs()}
    read = {spec.name for shown in ("sometimes_samples", "a_dynamic_process") for spec in profile.runs(shown)}
    for record in store.records():
        spec = record.spec
        assert spec.name in planned
        assert np.isfinite(record.test_accuracy)
        assert "+" not in record.environment["commit"], "made from changed files"
        if spec.name in read or store.has_selections(spec):
            assert store.selections(spec).sum() == sum(epoch.samples_kept for epoch in record.epochs)
        if spec.trace:
            assert len(store.trace(spec)) == len(spec.traced_epochs)
        if spec.is_static_scored:
            assert record.scoring.backward_passes > 0
            if scores := store.load_scores(scoring_spec(spec)):
                assert record.scoring == scores.cost
                assert "+" not in scores.environment["commit"], "made from changed files"


def test_resnet18_begins_with_the_cheapest_runs_of_the_frontier():
    runs = load_profile("resnet18").runs("frontier", [0])
    passes = [spec.epochs * (1 - spec.prune_rate) for spec in runs]
    assert passes == sorted(passes)
