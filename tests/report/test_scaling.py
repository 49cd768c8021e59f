"""The simulation of a profile on several GPUs, by hand."""

from functools import partial

import pytest

from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.report import scaling
from tests.report.tables import timed


def test_the_first_run_that_needs_scores_pays_for_them():
    run = partial(RunSpec, dataset="cifar10", model="resnet18", epochs=16)
    el2n = partial(run, sampler="el2n", settings={"models": 8, "at_epoch": 2})
    specs = [
        run(sampler="full"),
        el2n(prune_rate=0.5),
        el2n(prune_rate=0.75),
        el2n(prune_rate=0.5, seed=1),  # has scores of its own
        run(sampler="full", dataset="diabetes", model="mlp"),  # left out
        run(sampler="full", dataset="fashion_mnist", epochs=10),
        run(sampler="full", imbalance=512),  # sizes 1, 1/2, 1/4, to 1/512
    ]
    runs = scaling.run_passes(specs)
    assert runs["passes"].tolist() == pytest.approx([16, 8 + 16, 4, 8 + 16, 12, 16 * (2 - 1 / 512) / 10], rel=1e-4)
    assert scaling.totals(runs, images_per_second=50_000 * 71.1 / 3_600 / 10).values.tolist() == [
        ["cifar10", "resnet18", "5", "71", "10"],
        ["fashion_mnist", "resnet18", "1", "12", "2"],
    ]


def test_the_samples_of_a_run_are_those_that_its_epochs_have():
    run = partial(RunSpec, dataset="cifar10", model="resnet18", epochs=10, prune_rate=0.8)
    specs = [
        run(sampler="ucb", settings={"warm_up": 1, "anneal_from": 8}),  # 3 epochs on all the data, 7 on a fifth
        run(sampler="ucb", validation=5_000),
        run(sampler="final-subset"),  # its scoring is a pruned run
        run(sampler="seta", settings={"fill": False}),  # its losses are not known: at most
    ]
    passes = scaling.run_passes(specs)["passes"]
    assert passes.tolist() == pytest.approx([3 + 7 / 5, 2 * 0.9, 2 + 2, 2])


def test_the_speed_is_that_of_the_median_epoch_after_the_first():
    record = timed(9, 2, 4, 6)
    assert scaling.images_per_second(record) == record.epochs[0].backward_passes / (4 + 3)


@pytest.mark.parametrize(("gpus", "end"), [(1, 11), (2, 7), (3, 5), (4, 4), (9, 4)])
def test_each_run_begins_on_the_gpu_that_is_free_first(gpus, end):
    assert scaling.last_end([3, 3, 1, 4], gpus) == end


def test_the_share_of_busy_time():
    table = scaling.simulate([3, 3, 1, 4], "hours", gpus=(1, 2, 4))
    assert list(table) == ["GPUs", "hours until the last run ends", "share of the time that a GPU trains"]
    assert table.values.tolist() == [["1", "11.0", "100%"], ["2", "7.0", "79%"], ["4", "4.0", "69%"]]
    assert scaling.simulate([400, 900], "passes", gpus=(1,)).iloc[0, 1] == "1,300"
