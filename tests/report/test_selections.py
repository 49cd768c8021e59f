"""Which samples are selected: groups, and how well runs agree in them."""

import numpy as np
import pytest
import torch
from scipy import stats

from dynprune_lib.experiments.selection_groups import GROUPS
from dynprune_lib.experiments.train import TrainState, train_epoch
from dynprune_lib.report import selections
from tests.helpers import tiny

UCB = tiny("ucb", 0.5, epochs=1, batch_size=32)


def test_never_samples_are_counted_by_the_place_in_the_first_epoch_which_is_known_without_training(digits, monkeypatch):
    seen, steps = [], "dynprune_lib.experiments.train.train_steps"
    monkeypatch.setattr(steps, lambda _, batches, __: seen.extend(batches) or torch.zeros(1))
    train_epoch(TrainState(UCB, digits), 0)
    groups = np.full((1, 1437), GROUPS.index("always"))
    groups[0, torch.cat(seen)[:100]] = GROUPS.index("never")
    found = selections.never_by_first_epoch(selections.Selected([UCB], groups, groups))
    assert found.to_dict() == {1: pytest.approx(100 * 100 / 360), 2: 0, 3: 0, 4: 0}


def test_agreement_with_other_runs_by_hand():
    found = selections.group_agreement(np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 2]]))
    assert found.loc["never"].tolist() == [0.5, 0.25]
    assert found.loc["sometimes"].tolist() == [0.5, 0.5]
    assert np.isnan(found.loc["always", "agreement"])  # the first run has none


def test_agreement_among_runs_by_hand():
    sets = np.array([[1, 1, 0, 0, 0, 0], [1, 0, 1, 1, 0, 0], [1, 1, 0, 0, 0, 1]], bool)
    # in the order 0-1, 0-2, 1-0, 1-2, 2-0, 2-1
    expected = np.mean([1 / 2, 2 / 2, 1 / 3, 1 / 3, 2 / 3, 1 / 3])
    assert selections.agreement(sets) == {"agreement": pytest.approx(expected), "chance": pytest.approx(8 / 18)}
    assert np.isnan(selections.agreement(sets[:1])["agreement"])  # with no other


def test_typical_samples_are_in_their_group_in_every_run():
    groups = np.array([[0, 1, 1, 2, 1], [0, 1, 1, 2, 2]])
    counts = np.array([[1, 9, 5, 10, 3], [1, 8, 6, 10, 10]])
    found = selections.typical(counts, groups, 2)
    assert {name: index.tolist() for name, index in found.items()} == {"never": [0], "sometimes": [2, 1], "always": [3]}


def test_rank_correlation_against_scipy_and_its_mean_by_hand():
    rows = np.random.default_rng(0).integers(0, 9, (3, 50)).astype(float)
    expected = stats.spearmanr(rows, axis=1).statistic
    np.testing.assert_allclose(selections.rank_correlation(rows), expected, atol=1e-12)
    with_unseen = np.concatenate([rows, [[np.inf], [1.0], [2.0]]], axis=1)
    np.testing.assert_allclose(selections.rank_correlation(with_unseen), expected, atol=1e-12)
    rows = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    assert selections.mean_correlation(rows) == pytest.approx(-1)
    others = np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]])
    assert selections.mean_correlation(rows[:1], others) == pytest.approx(0.75)  # 1 and 0.5
    assert np.isnan(selections.mean_correlation(rows[:1]))
