"""The progress bar of a sweep counts the epochs of scoring models, too."""

import dataclasses

from dynprune_lib.experiments.progress import Progress
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.static_scores import missing_scorings, static_scores
from tests.helpers import make_record

EL2N = RunSpec(
    dataset="digits",
    model="tiny",
    sampler="el2n",
    prune_rate=0.75,
    epochs=4,
    settings={"models": 3, "at_epoch": 2},
)


def test_scorings_are_counted_once_and_named(store):
    runs = [EL2N, dataclasses.replace(EL2N, prune_rate=0.5), dataclasses.replace(EL2N, sampler="rs2", settings={})]
    scorings = missing_scorings(runs, store)
    assert [(scoring.sampler, scoring.prune_rate, scoring.seed) for scoring in scorings] == [("el2n", 0.0, 1000)]
    record = make_record(EL2N)
    with Progress(runs, scorings, lines=False) as progress:
        bar = progress._bar
        assert bar.total == 4 * (250 + 500 + 250) + 3 * 2 * 1000
        progress.handle("epoch", scorings[0], record.epochs[0])
        assert bar.n == 1000
        assert bar.postfix.startswith("scoring for el2n seed 0: 50.0%")
        progress.handle("epoch", EL2N, record.epochs[0])
        assert bar.postfix.startswith("el2n 75% seed 0: 50.0%")
        progress.handle("finished", EL2N, record)  # the rest of its scoring was made by another process
        assert bar.n == 4 * 250 + 3 * 2 * 1000


def test_the_epochs_of_scoring_models_are_told_as_those_of_the_scoring(store, digits):
    (scoring,) = missing_scorings([EL2N], store)
    told = []
    static_scores(EL2N, digits, store, lambda spec, _: told.append(spec))
    assert told == [scoring] * 6
    assert missing_scorings([EL2N], store) == []
