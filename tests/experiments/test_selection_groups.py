from dataclasses import replace

import numpy as np
import pytest

from dynprune_lib.experiments.selection_groups import group_of, selection_counts
from dynprune_lib.experiments.train import train
from tests.helpers import tiny


def run(epochs, rate=0.5, **settings):
    return tiny("ucb", rate, epochs=epochs, settings=settings)


@pytest.mark.parametrize(
    ("selections", "epochs", "warm_up", "groups"),
    [
        # at 50 % the first 2 of 12 epochs try every sample once: 10 are left to choose in
        ([1, 2, 9, 10, 11, 12], 12, 0, [0, 1, 1, 2, 2, 2]),  # never in 0 of 10, sometimes in 1 to 8, always in 9 or 10
        # all 10 epochs after the warm-up are left to choose in
        ([2, 3, 10, 11, 12], 12, 2, [0, 1, 1, 2, 2]),
    ],
)
def test_groups_by_hand(selections, epochs, warm_up, groups):
    assert group_of(np.array(selections), run(epochs, warm_up=warm_up)).tolist() == groups


def test_a_training_of_trials_alone_is_refused():
    for rate, trials in {0.5: 2, 0.7: 4, 0.0: 1}.items():
        with pytest.raises(ValueError, match=f"the first {trials} select every sample once"):
            group_of(np.ones(3), run(trials, rate))
        group_of(np.ones(3), run(trials + 1, rate))


def test_what_a_sampler_without_scores_selects_is_known_without_training(digits, store, spec):
    spec = replace(spec, sampler="dynamic-random", settings={"warm_up": 1}, epochs=2)
    train(spec, digits, store)
    assert np.array_equal(selection_counts(spec, 1437), store.selections(spec))
