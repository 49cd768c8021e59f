"""The plan: the runs of every experiment, each a function of a size."""

from collections.abc import Callable, Iterator
from typing import Any

from dynprune_lib.experiments.sizes import EIGHTH, NEWER, OTHERS, Size

Row = dict[str, Any]


def run(**fields: Any) -> Row:
    """Return runs of an experiment, one for each combination of the lists; the last list changes slowest.

    Fields are those of RunSpec, or in units of the size: `length` and `learning` are multiples of its epochs and
    learning rate; `saved` is the share of all sample passes that a run leaves out, `anneal` the share of its epochs, at
    the end, on all the data, `random_end` with random subsets; `seeds` is a number, 0 for the size's.
    """
    return fields


Rows = Callable[[Size], Iterator[Row]]
EXPERIMENTS: dict[str, tuple[str, Rows]] = {}  # name -> its notebook, and its rows


def shown_in(notebook: str) -> Callable[[Rows], Rows]:
    """Return a decorator that adds an experiment to the plan, under the name of its function."""

    def add(rows: Rows) -> Rows:
        EXPERIMENTS[rows.__name__] = (notebook, rows)
        return rows

    return add


@shown_in("00_quickstart")
def quickstart(_: Size) -> Iterator[Row]:
    yield run(sampler="full")
    yield run(sampler="ucb", prune_rate=0.5)


@shown_in("01_full_data_baselines")
def full_data_baselines(size: Size) -> Iterator[Row]:
    yield run(sampler="full", seeds=size.main_seeds)
    yield run(sampler="full", saved=size.rates, seeds=size.figure_seeds)
    yield run(sampler="full", saved=size.main_saved, seeds=size.main_seeds)


@shown_in("02_static_pruning_and_its_cost")
def static_pruning_and_its_cost(size: Size) -> Iterator[Row]:
    yield run(sampler="full", seeds=size.main_seeds)
    yield run(sampler="forget", prune_rate=size.rates, seeds=size.figure_seeds)
    yield run(sampler="el2n", prune_rate=size.rates, settings=size.early_scores, seeds=size.figure_seeds)
    yield run(sampler="static-random", prune_rate=size.rates, seeds=size.figure_seeds)
    yield run(sampler="dynamic-random", prune_rate=size.rates, seeds=size.figure_seeds)
    yield run(sampler="dynamic-random", saved=size.main_saved, seeds=size.main_seeds)
    yield run(sampler="grand", prune_rate=size.other_static_rates, settings=size.grand_scores)
    yield run(sampler=["cat", "cowerage"], prune_rate=size.other_static_rates)


@shown_in("03_accuracy_vs_pruning_rate")
def accuracy_vs_pruning_rate(size: Size) -> Iterator[Row]:
    yield run(sampler="full", seeds=size.main_seeds)
    yield run(sampler=OTHERS, prune_rate=size.rates, seeds=size.figure_seeds)
    yield run(sampler="static-random", prune_rate=size.rates, seeds=size.figure_seeds)
    yield run(sampler="full", saved=size.rates, seeds=size.figure_seeds)
    yield run(sampler="forget", prune_rate=size.rates, seeds=size.figure_seeds)
    yield run(sampler="el2n", prune_rate=size.rates, settings=size.early_scores, seeds=size.figure_seeds)
    yield run(sampler=["full", *OTHERS], saved=size.main_saved, seeds=size.main_seeds)


@shown_in("03_accuracy_vs_pruning_rate")
def another_data_set(size: Size) -> Iterator[Row]:
    there, rates = run(dataset=size.other_dataset), (0.5, 0.7)
    yield there | run(sampler="full", seeds=size.main_seeds)
    yield there | run(sampler=OTHERS, prune_rate=rates, seeds=size.figure_seeds)
    yield there | run(sampler="full", saved=rates, seeds=size.figure_seeds)
    yield there | run(sampler=["full", *OTHERS], saved=size.main_saved, seeds=size.main_seeds)


@shown_in("03_accuracy_vs_pruning_rate")
def high_rate(size: Size) -> Iterator[Row]:
    """Why the bandits fall behind there."""
    yield run(sampler=OTHERS, prune_rate=size.high_rate)
    yield run(sampler=OTHERS, prune_rate=size.high_rate, settings={"warm_up": 1})
    yield run(sampler=OTHERS, prune_rate=size.high_rate, length=size.longer)


@shown_in("04_sometimes_samples")
def sometimes_samples(size: Size) -> Iterator[Row]:
    yield run(sampler="ucb", prune_rate=0.5)
    rescored = run(sampler="ucb", prune_rate=0.5, rescore=True, settings={"warm_up": 1})
    yield rescored  # groups that no order of samples makes
    yield rescored | run(model=size.other_model)


@shown_in("04_sometimes_samples")
def dropped_groups(size: Size) -> Iterator[Row]:
    """As many samples of each group, next to as many at random."""
    for group in ("never", "sometimes", "always"):
        settings = {"group": group, "of_rescore": True}
        yield run(sampler="without-group", prune_rate=size.group_rate, settings=settings, seeds=size.figure_seeds)
    yield run(sampler="static-random", prune_rate=size.group_rate, seeds=size.figure_seeds)


@shown_in("04_sometimes_samples")
def parts_of_sometimes(_: Size) -> Iterator[Row]:
    """Does it matter when a *sometimes* sample is seen? The same part of them in all epochs, or another in each."""
    settings = [{"of_rescore": True, "redraw": redraw} for redraw in (False, True)]
    yield run(sampler="always-first", prune_rate=0.5, settings=settings)


@shown_in("05_time_to_accuracy")
def time_to_accuracy(size: Size) -> Iterator[Row]:
    yield run(sampler="full", seeds=size.main_seeds)
    yield run(sampler=OTHERS, prune_rate=size.rates, seeds=size.figure_seeds)
    yield run(sampler="full", saved=size.rates, seeds=size.figure_seeds)
    yield run(sampler=["full", *OTHERS], saved=size.main_saved, seeds=size.main_seeds)


@shown_in("05_time_to_accuracy")
def where_accuracy_is_lost(size: Size) -> Iterator[Row]:
    """Each pruned run is compared with full data of the same length, model and data set."""
    yield run(sampler="full", length=size.lengths)
    yield run(sampler="ucb", prune_rate=0.5, length=size.lengths)
    yield run(sampler="full", model=size.other_model)
    yield run(sampler="ucb", prune_rate=0.5, model=size.other_model)
    yield run(sampler="full", dataset=size.other_dataset, length=size.other_lengths)
    yield run(sampler="ucb", prune_rate=0.5, dataset=size.other_dataset, length=size.other_lengths)


@shown_in("05_time_to_accuracy")
def frontier(size: Size) -> Iterator[Row]:
    """Full data at many lengths: how much compute does a method need for the accuracy that they reach?"""
    yield run(sampler="full", length=size.full_lengths)
    yield run(sampler=size.compared, saved=0.5, length=size.pruned_lengths)
    yield run(sampler="ucb", saved=0.5, anneal=EIGHTH, length=size.pruned_lengths)
    lengths = size.other_saved_lengths or size.pruned_lengths
    yield run(sampler=["ucb", "rs2"], saved=size.other_saved_of_frontier, length=lengths)


@shown_in("05_time_to_accuracy")
def frontier_elsewhere(size: Size) -> Iterator[Row]:
    for row in frontier(size):
        yield run(dataset=size.other_dataset) | row


@shown_in("05_time_to_accuracy")
def summit(size: Size) -> Iterator[Row]:
    """The same question with wider nets and a longer training."""
    yield run(model=size.wide_models, sampler="full", length=[2, 1, 0.5])
    yield run(model=size.wide_models, sampler=["ucb", "rs2"], saved=0.5, length=2)


@shown_in("05_time_to_accuracy")
def timing(size: Size) -> Iterator[Row]:
    """Each run has the device to itself; UCB selects and records more than the others."""
    timed = run(epochs=size.timing_epochs, alone=True, seeds=size.timing_seeds)
    yield timed | run(sampler="full")
    yield timed | run(sampler="ucb", prune_rate=size.rates)


@shown_in("06_ablations")
def ablations(size: Size) -> Iterator[Row]:
    """One setting at a time, at 70 %."""
    ucb = run(sampler="ucb", prune_rate=0.7)
    yield run(sampler=OTHERS, prune_rate=0.7)
    yield run(sampler="epsilon-greedy", prune_rate=0.7, settings={"epsilon": 0.3})
    yield ucb | run(settings=[{"c": 0.0}, {"c": 10.0}, {"std_bonus": True}])  # c = 0: no bonus, no random share
    yield ucb | run(settings=[{"alpha": 0.2}, {"alpha": 1.0}, {"period": 4}])
    yield ucb | run(settings={"from_zero": True})  # with the next two: as a public re-implementation
    yield run(sampler="epsilon-ucb", prune_rate=0.7)
    yield ucb | run(rescore=True)
    yield run(sampler="ucb1", prune_rate=0.7)  # its bonus counts how often a sample was scored
    yield ucb | run(score=["least-confidence", "entropy", "margin", "el2n"])
    yield ucb | run(settings={"warm_up": size.ablation_warm_up})
    yield run(sampler=OTHERS, prune_rate=0.7, anneal=size.ablation_annealing)
    yield run(sampler=["epsilon-greedy", "dynamic-random"], prune_rate=0.7, settings={"rescale": True})


@shown_in("06_ablations")
def held_out(size: Size) -> Iterator[Row]:
    """The same settings, judged on training samples that were held out."""
    judged = run(prune_rate=0.7, validation=size.held_out)
    yield run(sampler=["ucb", "epsilon-greedy"]) | judged
    yield run(sampler="ucb") | judged | run(settings=[{"c": 0.0}, {"c": 10.0}])
    yield run(sampler="ucb") | judged | run(settings=[{"alpha": 0.2}, {"alpha": 1.0}, {"period": 4}])
    yield run(sampler="epsilon-greedy") | judged | run(settings={"epsilon": 0.3})


@shown_in("06_ablations")
def learning_rates(size: Size) -> Iterator[Row]:
    """Judged in the same way: are all methods served by one learning rate?"""
    yield run(sampler=["ucb", "dynamic-random"], prune_rate=0.7, validation=size.held_out, learning=[1, 0.5, 2])


@shown_in("07_a_dynamic_process")
def final_subset(size: Size) -> Iterator[Row]:
    yield run(sampler=["ucb", "dynamic-random", "static-random"], prune_rate=0.5, seeds=size.figure_seeds)
    yield run(sampler="final-subset", prune_rate=0.5)


@shown_in("07_a_dynamic_process")
def a_dynamic_process(size: Size) -> Iterator[Row]:
    """Full data, observed by a bandit that remembers the last score only."""
    traced = run(sampler="ucb", score="el2n", trace=size.traced, settings={"alpha": 1.0})
    yield traced
    yield traced | run(model=size.other_model)


@shown_in("07_a_dynamic_process")
def noise_ceiling(size: Size) -> Iterator[Row]:
    """The first net above from the same initialisation, with another order and augmentation."""
    yield run(sampler="ucb", score="el2n", trace=size.traced, settings={"alpha": 1.0}, init_seed=0, seed=1)


DYNAMIC_EL2N = run(sampler="dynamic-el2n", rescore=True, settings={"period": 2, "warm_up": 1})


@shown_in("09_equal_compute")
def equal_compute(size: Size) -> Iterator[Row]:
    """Every method at the same number of sample passes."""
    some, much = run(saved=size.saved, seeds=size.figure_seeds), run(saved=size.much_saved, seeds=size.figure_seeds)
    yield run(sampler="full", seeds=size.main_seeds)
    yield run(sampler="full", saved=size.rates, seeds=size.figure_seeds)
    yield run(sampler=size.methods) | some
    yield run(sampler=size.methods) | some | run(anneal=EIGHTH)
    yield DYNAMIC_EL2N | some
    yield DYNAMIC_EL2N | some | run(anneal=EIGHTH)
    yield run(sampler="seta") | some | run(random_end=EIGHTH)  # as its source ends
    yield run(sampler="molpeg") | some | run(anneal=EIGHTH)  # likewise
    yield run(sampler="infobatch") | some | run(settings={"rescale": False})
    yield run(sampler=NEWER) | some
    yield run(sampler=["full", *OTHERS]) | some
    yield run(sampler=size.methods) | much
    yield run(sampler=NEWER) | much
    yield run(sampler=size.methods) | much | run(anneal=EIGHTH / 2)  # an eighth would cost more
    yield DYNAMIC_EL2N | much
    yield run(sampler=["full", "rs2", *OTHERS], saved=size.main_saved, seeds=size.main_seeds)


@shown_in("09_equal_compute")
def equal_compute_elsewhere(size: Size) -> Iterator[Row]:
    """The paper's methods, and what wins above, on another data set."""
    there, some = run(dataset=size.other_dataset), run(saved=size.other_saved, seeds=size.figure_seeds)
    yield there | run(sampler="full", seeds=size.main_seeds)
    yield there | run(sampler=["rs2", *OTHERS]) | some
    yield there | run(sampler="ucb") | some | run(anneal=EIGHTH)
    yield there | run(sampler=NEWER, saved=size.main_saved, seeds=3)
    yield there | run(sampler=["full", "rs2", *OTHERS], saved=size.main_saved, seeds=size.main_seeds)


@shown_in("09_equal_compute")
def longer_elsewhere(size: Size) -> Iterator[Row]:
    """Does annealing still pay there in twice the epochs?"""
    half = run(dataset=size.other_dataset, length=2, saved=0.5)
    yield half | run(sampler=["full", "ucb"])
    yield half | run(sampler="ucb", anneal=EIGHTH)


@shown_in("09_equal_compute")
def epoch_seconds(size: Size) -> Iterator[Row]:
    """What selecting and recording cost: five short epochs of each method, alone on the device."""
    yield run(sampler=size.methods, prune_rate=0.5, epochs=5, alone=True)
    yield DYNAMIC_EL2N | run(prune_rate=0.5, epochs=5, alone=True)


@shown_in("09_equal_compute")
def own_lengths(size: Size) -> Iterator[Row]:
    """Methods whose rule decides how long each epoch is, with the weights and the last epochs of their sources."""
    own = run(settings={"fill": False}, seeds=size.figure_seeds)
    yield run(sampler=["repb", "early-stopping"]) | own
    yield run(sampler="infobatch") | own | run(anneal=EIGHTH)
    yield run(sampler="seta") | own | run(prune_rate=[0.3, 0.5], random_end=EIGHTH)
    yield run(sampler="progressive-dropout") | own | run(anneal=0.05)
    yield run(sampler="progressive-dropout") | own | run(settings={"fill": False, "confidence": 0.7}, anneal=0.05)


@shown_in("10_wrong_labels_and_rare_classes")
def wrong_labels(size: Size) -> Iterator[Row]:
    """Symmetric noise: another class for a share of the training labels."""
    noisy = run(saved=0.5, label_noise=size.noises)
    yield run(sampler="full", label_noise=size.noises)
    yield run(sampler="full") | noisy
    yield run(sampler=["rs2", "dynamic-random", "ucb", "epsilon-greedy", "infobatch", "order-dp"]) | noisy
    yield run(sampler="cautious-greedy") | noisy
    yield run(sampler="aum") | noisy


@shown_in("10_wrong_labels_and_rare_classes")
def rare_classes(size: Size) -> Iterator[Row]:
    """Twice as long, for such a set is a small part of the whole one; in a precision that every CPU has."""
    rare = run(sampler="full", imbalance=size.imbalances, length=2, precision="float32", seeds=size.figure_seeds)
    first = ["rs2", "dynamic-random", "ucb", "epsilon-greedy", "infobatch", "order-dp", "rcap", "cautious-greedy"]
    yield rare
    yield rare | run(saved=0.5)
    yield rare | run(saved=0.5, sampler=first)


@shown_in("11_beyond_images")
def beyond_images(size: Size) -> Iterator[Row]:
    """8 epochs, since 16 gain nothing on held-out training data; the same recipe at every size."""
    recipe = run(seeds=size.cheap_seeds, epochs=8, batch_size=32, optimizer="adamw", learning_rate=0.003)
    for datasets, model in ((size.texts, "bag"), (size.tables, "mlp")):
        row = run(dataset=datasets, model=model, sampler="full") | recipe
        yield row
        yield row | run(saved=0.5)
        yield row | run(saved=0.5, sampler=["rs2", "ucb", "infobatch"])


def _fine_tuned(size: Size, **fields: Any) -> Row:
    return run(epochs=4, batch_size=32, optimizer="adamw", weight_decay=0.01) | size.fine_tuning | fields


@shown_in("11_beyond_images")
def fine_tuning(size: Size) -> Iterator[Row]:
    """Full data in 1 and 2 epochs, and methods at the same compute; of two epochs, none can be on all the data."""
    yield _fine_tuned(size, saved=0.5, length=size.fine_tuned_lengths, sampler=["full", "rs2", "dynamic-random", "ucb"])
    annealed = [length for length in size.fine_tuned_lengths if length >= 1]
    yield _fine_tuned(size, saved=0.5, length=annealed, sampler="ucb", anneal=EIGHTH)


@shown_in("11_beyond_images")
def fine_tuning_rates(size: Size) -> Iterator[Row]:
    """On the first data set: the learning rate of these that is best on held-out training data."""
    judged = run(dataset=size.fine_tuning["dataset"][0], validation=size.held_out_sentences, seeds=1)
    yield _fine_tuned(size, length=0.5, sampler="full", learning=[1, 0.5, 2]) | judged
