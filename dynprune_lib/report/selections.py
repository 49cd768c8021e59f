"""Analyse which samples runs select: groups of samples, and agreement between runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.selection_groups import GROUPS, group_of, selection_counts
from dynprune_lib.experiments.static_scores import scoring_spec
from dynprune_lib.report.study import Study
from dynprune_lib.report.style import model_title
from dynprune_lib.report.tables import name_rows

NULL_MODEL = "dynamic random"  # uses no scores, so what it selects is known without training


@dataclass(frozen=True)
class Selected:
    """How often runs of one kind selected each sample: `counts` of epochs and `groups`, indices into GROUPS, (runs, N)
    each."""

    specs: list[RunSpec]
    counts: np.ndarray
    groups: np.ndarray


def selected(study: Study) -> dict[str, Selected]:
    """Return what the runs of `sometimes_samples` selected: UCB, UCB re-scored, the same with another net, and
    NULL_MODEL with the rate, warm-up and seeds of the second."""
    specs: dict[str, list[RunSpec]] = {}
    for spec in (record.spec for record in study.records):
        specs.setdefault(f"UCB{', re-scored' * spec.rescore}, {model_title(spec.model)}", []).append(spec)
    counts = {name: np.stack([study.store.selections(spec) for spec in runs]) for name, runs in specs.items()}
    rescored = list(specs)[1]
    changes: dict[str, Any] = {"sampler": "dynamic-random", "rescore": False, "settings": {"warm_up": 1}}
    specs[NULL_MODEL] = [replace(spec, **changes) for spec in specs[rescored]]
    num_samples = counts[rescored].shape[1]
    counts[NULL_MODEL] = np.stack([selection_counts(spec, num_samples) for spec in specs[NULL_MODEL]])
    groups = {name: np.stack(list(map(group_of, counts[name], runs))) for name, runs in specs.items()}
    return {name: Selected(runs, counts[name], groups[name]) for name, runs in specs.items()}


def histogram(counts: Mapping[str, np.ndarray], epochs: int) -> pd.DataFrame:
    """Return how many samples, summed over (runs, N) counts, were selected in each number of epochs."""
    columns = {name: np.bincount(each.ravel(), minlength=epochs + 1) for name, each in counts.items()}
    return pd.DataFrame(columns).rename_axis("epochs").reset_index()


def never_by_first_epoch(runs: Selected, parts: int = 4) -> pd.Series:
    """Return the share of never samples, in %, by the quarter in which the first epoch saw them, mean over runs."""
    shares = []
    for groups, spec in zip(runs.groups, runs.specs, strict=True):
        first = spec.make_sampler(len(groups)).indices().numpy()
        order = np.concatenate([first, np.setdiff1d(np.arange(len(groups)), first)])  # then those that it left out
        shares.append([(groups[part] == GROUPS.index("never")).mean() for part in np.array_split(order, parts)])
    return pd.Series(100 * np.mean(shares, axis=0), pd.RangeIndex(1, parts + 1))


def who_was_dropped(study: Study) -> pd.DataFrame:
    """Return for each group of `dropped_groups` its mean `size`, a share of all samples, and its share of those left
    out."""
    rows = []
    for spec in (record.spec for record in study.records if record.spec.sampler == "without-group"):
        scores = study.store.load_scores(scoring_spec(spec))
        assert scores is not None
        is_member = scores.values.numpy() == GROUPS.index(spec.settings["group"])
        left_out = is_member[study.store.selections(spec) == 0].mean()
        rows.append({"group": spec.settings["group"], "size": is_member.mean(), "share of those left out": left_out})
    return pd.DataFrame(rows).groupby("group").mean().reindex(GROUPS)


def agreement_of_scores(study: Study) -> pd.DataFrame:
    """Return how far two realisations of a static score agree on what to keep: `agreement` by method and rate."""
    kept: dict[tuple[str, float], list[np.ndarray]] = {}
    for spec in (record.spec for record in study.records if record.spec.is_static_scored):
        kept.setdefault((spec.sampler, spec.prune_rate), []).append(study.store.selections(spec) > 0)
    rows = {key: agreement(np.stack(runs)) for key, runs in sorted(kept.items())}
    return name_rows(pd.DataFrame.from_dict(rows, orient="index").rename_axis(["method", "rate"]))


def correlations_of_scores(study: Study, ceiling: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return mean rank correlations of the scores of `a_dynamic_process` and `noise_ceiling`: one row per epoch,
    between pairs of runs; and a matrix of epochs, within a run."""
    shared = ceiling.records[0].spec
    of_nets: dict[str, list[np.ndarray]] = {}  # (epochs, samples) of each run
    alike = []
    for each in (study, ceiling):
        for spec in (record.spec for record in each.records):
            trace = each.store.trace(spec).astype(np.float32)
            if each is study:
                of_nets.setdefault(spec.model, []).append(trace)
            if spec.model == shared.model and shared.init_seed in (spec.seed, spec.init_seed):
                alike.append(trace)
    nets = [np.stack(runs, axis=1) for runs in of_nets.values()]
    first, other, epochs = nets[0], nets[-1], pd.Index(shared.traced_epochs, name="epoch")
    within = pd.DataFrame(np.mean([*map(rank_correlation, first.swapaxes(0, 1))], axis=0), epochs, epochs)
    columns = {
        "same initialisation": list(map(mean_correlation, np.stack(alike, axis=1))),
        "another seed": list(map(mean_correlation, first)),
        "another net": list(map(mean_correlation, first, other)),
        "last epoch of the same run": within.iloc[:, -1],
    }
    return pd.DataFrame(columns, epochs), within


def group_shares(groups: np.ndarray) -> pd.Series:
    """Return the share of the samples in each group, from (N,) indices into GROUPS."""
    return pd.Series(np.bincount(groups, minlength=len(GROUPS)) / len(groups), index=GROUPS)


def agreement(members: np.ndarray, others: np.ndarray | None = None) -> dict[str, float]:
    """Return the `agreement` of (runs, N) sets of samples, the share of a run's set that is also in another's, mean
    over pairs (NaN if there is none), and that of independent sets of the same sizes, by `chance`."""
    sets, other_sets = (np.asarray(each, dtype=float) for each in (members, members if others is None else others))
    with np.errstate(invalid="ignore"):  # a set may be empty
        common = sets @ other_sets.T / sets.sum(1, keepdims=True)
    return {"agreement": _mean_of_pairs(common, others is None), "chance": float(other_sets.mean())}


def group_agreement(groups: np.ndarray, others: np.ndarray | None = None) -> pd.DataFrame:
    """Return the `agreement` of runs on each group, from (runs, N) indices into GROUPS."""
    rows = {
        name: agreement(groups == place, None if others is None else others == place)
        for place, name in enumerate(GROUPS)
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def typical(counts: np.ndarray, groups: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Return, by group, up to `count` samples that are in it in every run: the first; of *sometimes*, those selected in
    closest to half of the epochs."""
    in_all = {name: (groups == place).all(0).nonzero()[0] for place, name in enumerate(GROUPS)}
    distance = np.abs(counts.mean(0) - counts.max() / 2)
    in_all["sometimes"] = in_all["sometimes"][np.argsort(distance[in_all["sometimes"]], kind="stable")]
    return {name: index[:count] for name, index in in_all.items()}


def rank_correlation(rows: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation between rows of scores, over the samples that are finite in all rows."""
    finite = rows[:, np.isfinite(rows).all(0)]
    return np.corrcoef(stats.rankdata(finite, axis=1))


def mean_correlation(rows: np.ndarray, others: np.ndarray | None = None) -> float:
    """Return the mean rank correlation of the (runs, N) scores of all pairs of runs; NaN if there is none."""
    if others is None:
        return _mean_of_pairs(np.atleast_2d(rank_correlation(rows)), within=True)
    return float(rank_correlation(np.concatenate([rows, others]))[: len(rows), len(rows) :].mean())


def _mean_of_pairs(matrix: np.ndarray, within: bool) -> float:
    """Return the mean of a matrix, without its diagonal if it compares runs with themselves."""
    pairs = matrix[~np.eye(len(matrix), dtype=bool)] if within else matrix.ravel()
    return float(pairs.mean()) if pairs.size else float("nan")
