"""The sizes of the plan: how large the runs of a profile are, and which of them it has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

OTHERS = ("ucb", "epsilon-greedy", "dynamic-random")  # the dynamic methods of the paper
METHODS = ("rs2", "infobatch", *OTHERS, "seta", "early-stopping", "progressive-dropout")
NEWER = ("order-dp", "rcap")  # compared in the form of their sources: of a fixed length, without annealing
EIGHTH = 0.125  # of the epochs, at the end, on all the data


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the runs of a profile are, and which of them it has.

    Args:
        recipe: fields of every run but those with a data set and a model of their own.
        seeds: of most runs; `main_seeds`, `figure_seeds` and so on are numbers of seeds of some runs, 0 for these.
        threads: CPU threads for a run; None for torch's choice.
        experiments: those with runs; None for all.
        cheapest_first: an experiment begins with the runs of the fewest passes.
    """

    recipe: dict[str, Any]
    seeds: tuple[int, ...] = (0, 1, 2)
    threads: int | None = None
    experiments: tuple[str, ...] | None = None
    cheapest_first: bool = False
    margin: float = 0.5  # percentage points: a smaller loss counts as none; fixed before the tests, not a run's setting
    rates: Sequence[float] = (0.5, 0.7, 0.3, 0.9)  # what most readers look for comes first
    methods: Sequence[str] = METHODS
    saved: Sequence[float] = (0.5, 0.7, 0.3)
    much_saved: Sequence[float] = ()
    lengths: Sequence[float] = (1, 0.5, 0.3, 2)
    high_rate: Sequence[float] = (0.9,)
    longer: Any = 3
    full_lengths: Sequence[float] = (1, 0.5, 0.3, 0.7, 2)
    pruned_lengths: Sequence[float] = (1, 0.5, 2)
    other_saved_of_frontier: Sequence[float] = (0.3,)
    other_saved_lengths: Sequence[float] | None = None  # None: those of `pruned_lengths`
    compared: Sequence[str] = ("ucb", "rs2", "epsilon-greedy", "dynamic-random")
    other_model: str = "small"
    wide_models: Sequence[str] = ()
    group_rate: float = 0.3  # the share of the smallest group (30.5 % in a run of laptop's size)
    timing_epochs: int = 2
    traced: int = 5000
    early_scores: dict[str, Any] = field(default_factory=dict)
    grand_scores: dict[str, Any] = field(default_factory=dict)
    other_static_rates: Sequence[float] = ()
    ablation_annealing: float = EIGHTH
    ablation_warm_up: int = 2
    held_out: int = 5000
    other_dataset: str = "cifar100"
    other_lengths: Sequence[float] = (1, 0.5, 2)
    other_saved: Sequence[float] = (0.5, 0.7)
    noises: Sequence[float] = (0.2, 0.4)
    imbalances: Sequence[float] = (50,)
    texts: Sequence[str] = ()  # need a download
    fine_tuning: dict[str, Any] = field(default_factory=dict)  # data sets, model and recipe
    fine_tuned_lengths: Sequence[float] = (0.5, 1)
    held_out_sentences: int = 1000
    tables: Sequence[str] = ("breast_cancer", "hastie", "diabetes", "friedman")
    main_saved: Sequence[float] = ()  # the comparison that most readers look for has more seeds
    main_seeds: int = 0
    figure_seeds: int = 0
    cheap_seeds: int = 0
    timing_seeds: int = 0


SIZES = {  # the smallest first
    # every run of every experiment in a few minutes, on any machine, without a network: real data, 1,437 digits
    "smoke": Size(
        recipe={"dataset": "digits", "model": "tiny", "epochs": 10, "batch_size": 32, "learning_rate": 0.1},
        seeds=(0, 1),
        threads=1,  # more of them slow such small tensors down
        other_model="strided",
        other_dataset="digits",  # no other ships with a dependency: the same once more
        rates=[0.5, 0.7],
        high_rate=[0.7],
        longer=2,
        other_saved=[0.5],
        other_lengths=[],
        lengths=[1, 0.5],
        methods=["rs2", "infobatch", *OTHERS],
        saved=[0.5],
        timing_epochs=10,
        traced=1437,
        early_scores={"models": 3, "at_epoch": 2},
        grand_scores={"models": 3, "at_epoch": 2},
        other_static_rates=[0.5],
        group_rate=0.2,
        ablation_warm_up=1,
        ablation_annealing=0.2,
        tables=["breast_cancer", "diabetes"],
        fine_tuning={"dataset": ["digit_tokens"], "model": "tiny-bert", "learning_rate": 0.003},
        fine_tuned_lengths=[1],
        held_out_sentences=200,
        full_lengths=[1, 0.5, 2],
        pruned_lengths=[1],
        noises=[0.2],
        imbalances=[5],
        held_out=200,
    ),
    # the real data on two CPU cores: a small net and a short run
    "laptop": Size(
        recipe={
            "dataset": "cifar10",
            "model": "small",
            "epochs": 16,
            "batch_size": 128,
            "learning_rate": 0.1,
            "precision": "bfloat16",  # about twice as fast as float32 on a CPU that has it (benchmarks/training.py)
        },
        threads=1,  # whatever --jobs: results are the same bit for bit for one number of threads
        other_model="strided",
        much_saved=[0.9],
        methods=["rs2", *OTHERS, "seta", "early-stopping", "progressive-dropout"],  # InfoBatch: not rescaled
        early_scores={"at_epoch": 2, "models": 8},  # at the source's cost: one run
        grand_scores={"at_epoch": 2, "models": 8, "exact": False},
        other_static_rates=[0.5],
        full_lengths=[],  # desktop has the frontier, and wrong labels
        pruned_lengths=[],
        noises=[],
        texts=["trec"],
        fine_tuning={
            "dataset": ["trec_subwords", "subj", "rt_polarity"],
            "model": "minilm",
            "learning_rate": 1e-4,
            "precision": "bfloat16",
        },
        main_saved=[0.5],
        main_seeds=10,
        figure_seeds=5,
        cheap_seeds=6,  # these runs take seconds
    ),
    # the accuracy that users care about, on two CPU cores: the recipe of the CIFAR speedruns with a narrower net
    "desktop": Size(
        recipe={
            "dataset": "cifar10",
            "model": "speedrun",
            "epochs": 20,
            "batch_size": 512,
            "learning_rate": 0.75,
            "momentum": 0.85,
            "weight_decay": 0.00133,
            "bias_rate": 16,
            "averaging": 0.98,
            "label_smoothing": 0.2,
            "flip": "alternating",
            "pad": 2,
            "padding": "reflect",
            "precision": "bfloat16",
        },
        experiments=(
            "quickstart",
            "full_data_baselines",
            "accuracy_vs_pruning_rate",
            "another_data_set",
            "time_to_accuracy",
            "where_accuracy_is_lost",
            "frontier",
            "frontier_elsewhere",
            "summit",
            "timing",
            "ablations",
            "final_subset",
            "equal_compute_elsewhere",
            "wrong_labels",
        ),
        threads=1,
        seeds=(0, 1, 2, 3, 4),
        timing_seeds=2,
        full_lengths=[1, 0.5, 2, 0.25, 0.35, 0.7, 1.4, 4],
        wide_models=["speedrun-wide", "speedrun-wider"],
        early_scores={"at_epoch": 2},
        # the last is the best on held-out images
        compared=["ucb", "rs2", "epsilon-greedy", "dynamic-random", "proportional"],
    ),
    # the paper's net, on a GPU: how much compute does a method need for the accuracy that full data reach?
    "resnet18": Size(
        recipe={
            "dataset": "cifar10",
            "model": "resnet18",
            "epochs": 30,
            "batch_size": 128,
            "learning_rate": 0.1,
            "precision": "bfloat16",
        },
        experiments=("frontier", "frontier_elsewhere", "timing"),
        timing_epochs=4,
        full_lengths=[epochs / 30 for epochs in (8, 10, 14, 20, 30, 60, 100, 200)],
        pruned_lengths=[epochs / 30 for epochs in (20, 40, 60, 120, 200)],
        other_saved_lengths=[60 / 30, 200 / 30],
        other_saved_of_frontier=[0.3, 0.7],
        cheapest_first=True,
    ),
}
