"""Compare methods by the compute that they really spend: a prune rate is not the compute saved."""

from collections.abc import Collection, Sequence

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from dynprune_lib.experiments.profile import FEWER_EPOCHS
from dynprune_lib.report.canvas import WIDTH, finish, legend_beside, use_style, write_title
from dynprune_lib.report.frontier import measure_compute, speed_up
from dynprune_lib.report.frontier_figure import draw_full_data, draw_methods, label_in_doublings
from dynprune_lib.report.frontier_tables import interval
from dynprune_lib.report.study import Study
from dynprune_lib.report.tables import label_with_settings


def spent(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the runs of several experiments of one data set and model, with the compute that they spent.

    Full data in fewer epochs becomes a length of full data. The labels of methods with epochs of their own length name
    their settings. The columns are those of `measure_compute`.
    """
    runs = pd.concat(tables, ignore_index=True)
    is_full = runs["method"].isin(["full", FEWER_EPOCHS])
    runs = measure_compute(
        runs.assign(method=runs["method"].mask(is_full, "full"), rate=runs["rate"].mask(is_full, 0.0))
    )
    labels = pd.Series(map(label_with_settings, runs["method_label"], runs["settings"]), runs.index)
    return runs.assign(method_label=runs["method_label"].mask(runs["own_length"], labels))


def of_the_same(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the runs of the data set and the net of a study."""
    spec = study.records[0].spec
    return runs[(runs["dataset"] == spec.dataset) & (runs["model"] == spec.model)]


def saving_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each method promises, saves and reaches, the highest speed-up first.

    Methods below full data at its smallest length are left out. `compute saved` is against as many epochs of full data,
    `speed-up` at equal accuracy with its 95 % interval, `n` the number of seeds, `chosen by the rule` see
    `tables.chosen_by_rule`.
    """
    cell = ["method_label", "epochs", "saved"]
    means = runs.groupby(cell)["test_accuracy"].transform("mean")
    runs = runs[means >= means[runs["method"] == "full"].min()]  # below, no compute of full data is as accurate
    groups = runs.groupby(cell)
    table = speed_up(runs)
    keys = pd.MultiIndex.from_frame(table[cell])
    really = 1 - table["full_epochs"] / table["epochs"]
    shown = pd.DataFrame(
        {
            "method": table["method_label"],
            "prune rate": groups["rate"].mean().reindex(keys).map("{:.0%}".format).to_numpy(),
            "compute saved": really.map("{:.0%}".format),
            "accuracy (%)": table["test_accuracy"].round(1),
            "speed-up": [interval(row) for _, row in table.iterrows()],
            "n": table["n"],
            "chosen by the rule": groups["chosen_by_rule"].agg(_share_of_seeds).reindex(keys).to_numpy(),
        }
    )
    return shown.loc[table["speed_up"].sort_values(ascending=False).index].reset_index(drop=True)


def _share_of_seeds(values: pd.Series) -> str:
    """Format the mean of the values that are known, with their number if some are not; empty if none is."""
    number = values.count()
    some = f" ({number} of {len(values)} runs)" if number < len(values) else ""
    return f"{values.mean():.0%}{some}" if number else ""


def plot_compute_spent(runs: pd.DataFrame, methods: Collection[str], title: str) -> Figure:
    """Plot accuracy over the compute of a table of `spent`: epochs of a fixed length, and of the length that the rule
    wants.

    Of the methods with a fixed length, without annealing, only `methods` are drawn.
    """
    use_style()
    figure, panels = plt.subplots(1, 2, sharex=True, sharey=True, layout="constrained", figsize=(2.4 * WIDTH, 3.4))
    is_full = runs["method"] == "full"
    fixed = ~runs["own_length"] & ~runs["annealed"] & runs["method"].isin(methods)
    kinds = {"epochs of a fixed length": fixed, "epochs of their own length": runs["own_length"]}
    for axes, (kind, chosen) in zip(panels, kinds.items(), strict=True):
        draw_full_data(axes, runs[is_full])
        draw_methods(axes, runs[chosen & ~is_full], plain=":")
        axes.set(title=kind, xlabel="compute (epochs of full data)")
        label_in_doublings(axes)
    lengths = runs[is_full].groupby("epochs")["test_accuracy"].mean()
    lowest = lengths.nsmallest(2).index[-1]  # methods that fail would stretch the axes
    panels[0].set(ylabel="test accuracy (%)", xlim=(0.8 * lowest, None), ylim=(lengths[lowest] - 2, lengths.max() + 1))
    legend_beside(figure, fontsize=5.5)
    write_title(figure, title)
    return finish(figure)
