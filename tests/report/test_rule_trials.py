import pandas as pd

from dynprune_lib.paths import root
from dynprune_lib.report import rule_trials


def test_differences_are_from_rs2_and_the_best_comes_first():
    accuracies = {"RS2": [90, 92], "worse": [88, 90], "better": [93, 95]}
    rows = [(rule, seed, value) for rule, values in accuracies.items() for seed, value in enumerate(values)]
    trials = pd.DataFrame(rows, columns=["rule", "seed", "accuracy"])
    trials = trials.assign(dataset="cifar10", passes=trials["rule"].map({"RS2": 100}).fillna(150))
    table = rule_trials.differences_from_rs2(trials)
    assert table.index.tolist() == ["better", "worse"]
    # means 3 and -2; pooled variance 2 with 3 degrees of freedom, standard error sqrt(2/2 + 2/2), t = 3.182
    assert table["cifar10"].tolist() == ["+3.0 ± 4.5", "-2.0 ± 4.5"]
    assert table["passes"].tolist() == ["1.50x", "1.50x"]


def test_the_committed_trials_say_what_the_text_says():
    trials = pd.read_csv(rule_trials.rule_trials())
    at_equal_cost = trials[trials["passes"] < 1.03 * trials.loc[trials["rule"] == "RS2", "passes"].mean()]
    best = at_equal_cost.groupby(["rule", "dataset"])["accuracy"].mean().groupby("rule").mean().idxmax()
    assert best == "in proportion to the mean loss"
    recipes = pd.read_csv(root() / "docs" / "recipe_trials.csv").groupby("change")["accuracy"].mean()
    assert recipes.max() - recipes["none (the profile's recipe)"] < 0.3
