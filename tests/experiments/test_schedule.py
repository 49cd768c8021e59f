"""The order of the tasks of a sweep, and the bar over them."""

import dataclasses

import pytest

from dynprune_lib.experiments.schedule import Schedule, Task, tasks_of
from dynprune_lib.experiments.static_scores import static_scores
from dynprune_lib.experiments.sweep import Plan
from tests.helpers import make_record, tiny

EL2N = tiny("el2n", 0.75, epochs=4, settings={"models": 3, "at_epoch": 2})
OTHER_RATE, OTHER_SEED = dataclasses.replace(EL2N, prune_rate=0.5), dataclasses.replace(EL2N, seed=1)
RS2 = dataclasses.replace(EL2N, sampler="rs2", settings={})
SCORING, SCORING_OF_OTHER_SEED = Task(EL2N, scores_only=True), Task(OTHER_SEED, scores_only=True)


@pytest.fixture
def schedule(store):
    with Schedule(tasks_of([EL2N, OTHER_RATE, RS2], store), Plan(store, lines=False)) as made:
        made.begin(tasks_of([EL2N, OTHER_RATE, RS2], store))
        yield made


def test_scores_are_a_task_before_the_first_run_that_needs_them(store, digits):
    tasks = tasks_of([RS2, EL2N, OTHER_RATE, OTHER_SEED], store)
    runs = Task(RS2), SCORING, Task(EL2N), Task(OTHER_RATE), SCORING_OF_OTHER_SEED, Task(OTHER_SEED)
    assert tasks == list(runs)
    told = []
    static_scores(EL2N, digits, store, told.append)
    assert len(told) == 6  # the epochs of all scoring models
    assert tasks_of([EL2N, OTHER_RATE], store) == [Task(EL2N), Task(OTHER_RATE)]


def test_a_run_is_handed_out_when_its_scores_are_there(schedule):
    assert [schedule.next() for _ in range(3)] == [SCORING, Task(RS2), None]
    schedule.handle("scored", SCORING, None)
    assert [schedule.next() for _ in range(3)] == [Task(EL2N), Task(OTHER_RATE), None]


def test_runs_whose_scores_another_process_makes_wait_for_the_next_round(schedule):
    schedule.handle("taken", schedule.next(), None)
    schedule.handle("made", schedule.next(), make_record(RS2))
    assert schedule.next() is None
    assert schedule.taken == [SCORING, Task(EL2N), Task(OTHER_RATE)]


def test_scores_that_fail_are_one_failure_and_the_reason_of_all_runs_that_need_them(schedule, store):
    schedule.handle("failed", schedule.next(), "no memory")
    assert schedule.next() == Task(RS2)
    assert schedule.failures == {SCORING.name: f"{SCORING.name}: no memory"}
    assert store.failure(EL2N) == store.failure(OTHER_RATE) == f"{SCORING.name}: no memory"


def test_the_bar_counts_the_epochs_of_scoring_models_too(schedule):
    bar, record = schedule._bar, make_record(EL2N)
    assert bar.total == 4 * (0.25 + 0.5 + 0.25) + 3 * 2
    schedule.handle("epoch", schedule.next(), record.epochs[0])
    assert bar.postfix.startswith("scoring for el2n seed 0: 50.0%")
    schedule.handle("scored", SCORING, None)  # the rest was made by another process
    schedule.handle("epoch", schedule.next(), record.epochs[0])
    assert bar.postfix.startswith("el2n 75%, 4 epochs, seed 0: 50.0%")
    schedule.handle("made", Task(EL2N), record)
    assert schedule._left[SCORING.name] == schedule._left[EL2N.name] == 0
    assert bar.desc == "1 of 3 runs"
