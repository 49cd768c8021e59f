import contextlib

import numpy as np
import pytest

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.data import DATASETS, DataError, load_dataset
from dynprune_lib.experiments.profile import RECORDED, _absolute, load_profile
from dynprune_lib.experiments.static_scores import scoring_spec
from dynprune_lib.experiments.store import Store
from dynprune_lib.paths import root


def test_the_cheapest_runs_and_the_first_seeds_come_first():
    passes = [spec.epochs * (1 - spec.prune_rate) for spec in load_profile("resnet18").runs("frontier", [0])]
    seeds = [spec.seed for spec in load_profile("laptop").runs("equal_compute_elsewhere")]
    assert (passes, seeds) == (sorted(passes), sorted(seeds))


def test_a_rate_that_no_epochs_can_save_is_refused():  # other units are those of planned runs, in the golden net
    row = {"sampler": "ucb", "epochs": 10, "settings": {"warm_up": 1}}
    assert _absolute(row | {"saved": 0.45})["prune_rate"] == 0.5
    with pytest.raises(SpecError, match=r"saved is 0.9: lower it, 1 of 10 epochs train on all the data"):
        _absolute(row | {"saved": 0.9})


def test_runs_with_a_recipe_of_their_own_keep_it_on_another_data_set():
    other = load_profile("smoke", "cifar10")
    assert other.runs("beyond_images", [0]) == load_profile("smoke").runs("beyond_images", [0]) != []
    assert {spec.dataset for spec in other.runs("quickstart")} == {"cifar10"}


def test_no_run_of_the_smallest_size_needs_a_download():
    assert not any(DATASETS[spec.dataset].files for spec in load_profile("smoke").runs())


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="unknown profile 'lapto': there are smoke, laptop, desktop, resnet18"):
        load_profile("lapto")
    with pytest.raises(ValueError, match="unknown experiment of profile smoke 'x': there are quickstart"):
        load_profile("smoke").runs("x")


@pytest.mark.slow
def test_the_recorded_data_sets_are_those_that_are_loaded():  # tables are not: other machines round differently
    records = [record for name in RECORDED for record in Store(root() / "results" / name).records()]
    for name in {record.spec.dataset for record in records if DATASETS[record.spec.dataset].files}:
        with contextlib.suppress(DataError):  # it is not here
            md5 = load_dataset(name).md5
            assert {each.environment["data_md5"] for each in records if each.spec.dataset == name} == {md5}, name


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_the_committed_records_are_whole_and_those_that_are_compared_share_one_precision(name):
    profile, store = load_profile(name), Store(root() / "results" / name)
    read = {spec.name for shown in ("sometimes_samples", "a_dynamic_process") for spec in profile.runs(shown)}
    records = {record.spec.name: record for record in store.records()}
    assert records.keys() <= {spec.name for spec in profile.runs()}
    precisions = {}
    for record in records.values():
        spec, made = record.spec, [record]
        assert np.isfinite(record.test_accuracy)
        if spec.name in read or store.has_selections(spec):
            assert store.selections(spec).sum() == sum(epoch.samples_kept for epoch in record.epochs)
        if spec.trace:
            assert len(store.trace(spec)) == len(spec.traced_epochs)
        if spec.is_static_scored:
            assert record.scoring.backward_passes > 0
            if scores := store.load_scores(scoring_spec(spec)):
                assert record.scoring == scores.cost
                # who is in a group may have been found in another precision
                made += [] if spec.sampler == "always-first" else [scores]
        assert not any("+" in each.environment["commit"] for each in made), "made from changed files"
        precisions[spec.name] = {each.environment["precision"] for each in made}
    for experiment in profile.experiments:
        names = precisions.keys() & {spec.name for spec in profile.runs(experiment)}
        assert len(set().union(*(precisions[each] for each in names))) <= 1, experiment
