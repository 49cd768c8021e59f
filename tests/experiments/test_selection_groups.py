import numpy as np
import pytest

from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.selection_groups import GROUPS, group_of, selection_counts
from dynprune_lib.experiments.train import train
from dynprune_lib.report.selections import agreement, group_shares, rank_correlation, typical


def run(epochs, rate=0.5, sampler="ucb", **settings):
    return RunSpec(
        dataset="digits",
        model="tiny",
        sampler=sampler,
        prune_rate=rate,
        epochs=epochs,
        batch_size=32,
        settings=settings,
    )


def test_groups_by_hand():
    # at 50 % the first 2 of 12 epochs try every sample once: 10 are left to choose in
    selections = np.array([1, 2, 9, 10, 11, 12])
    assert [GROUPS[group] for group in group_of(selections, run(12))] == [
        "never",  # 0 of 10
        "sometimes",  # 1 of 10
        "sometimes",  # 8 of 10
        "always",  # 9 of 10
        "always",
        "always",
    ]


@pytest.mark.parametrize(("rate", "trials"), [(0.5, 2), (0.7, 4), (0.9, 10), (0.0, 1)])
def test_a_training_of_trials_alone_is_refused(rate, trials):
    with pytest.raises(ValueError, match=f"the first {trials} select every sample once"):
        group_of(np.ones(3), run(trials, rate))
    group_of(np.ones(3), run(trials + 1, rate))


@pytest.mark.parametrize("warm_up", [1, 2])
def test_groups_after_a_warm_up_by_hand(warm_up):
    # all 10 epochs after the warm-up are left to choose in
    selections = warm_up + np.array([0, 1, 8, 9, 10])
    assert group_of(selections, run(10 + warm_up, warm_up=warm_up)).tolist() == [0, 1, 1, 2, 2]


def test_what_a_sampler_without_scores_selects_is_known_without_training(digits, store):
    spec = run(4, sampler="dynamic-random", warm_up=1)
    train(spec, digits, store)
    assert np.array_equal(selection_counts(spec, 1437), store.selections(spec))


def test_shares_of_the_groups():
    assert group_shares(np.array([0, 1, 1, 2])).to_dict() == {"never": 0.25, "sometimes": 0.5, "always": 0.25}


def test_agreement_by_hand():
    found = agreement(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]))
    assert found.index.tolist() == ["never", "sometimes"]
    assert found["agreement"].tolist() == [0.5, 0.5]
    assert found["chance"].tolist() == [0.25, 0.5]


def test_typical_samples_are_in_their_group_in_every_run():
    groups = np.array([[0, 1, 1, 2, 1], [0, 1, 1, 2, 2]])
    counts = np.array([[1, 9, 5, 10, 3], [1, 8, 6, 10, 10]])
    found = typical(counts, groups, 2)
    assert {name: index.tolist() for name, index in found.items()} == {"never": [0], "sometimes": [2, 1], "always": [3]}


def test_rank_correlation_against_scipy():
    from scipy import stats

    rows = np.random.default_rng(0).integers(0, 9, (3, 50)).astype(float)
    expected = stats.spearmanr(rows, axis=1).statistic
    np.testing.assert_allclose(rank_correlation(rows), expected, atol=1e-12)
    with_unseen = np.concatenate([rows, [[np.inf], [1.0], [2.0]]], axis=1)
    np.testing.assert_allclose(rank_correlation(with_unseen), expected, atol=1e-12)
