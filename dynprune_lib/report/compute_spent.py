"""Compare methods by the compute that they really spend: the saving that a setting promises is not always made."""

from collections.abc import Sequence

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from dynprune_lib.experiments.profile import FEWER_EPOCHS
from dynprune_lib.report.canvas import WIDTH, finish, legend_beside, use_style, write_title
from dynprune_lib.report.frontier import measure_compute, speed_up
from dynprune_lib.report.frontier_figure import draw_full_data, draw_methods, label_in_doublings
from dynprune_lib.report.frontier_text import interval
from dynprune_lib.report.tables import label_with_settings

OWN_LENGTH = "own length"  # how the modifier of a method begins whose rule decides how long its epochs are


def spent(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the runs of several experiments of one data set and model with the compute that they spent.

    Args:
        tables: tables of `tabulate`; full data in fewer epochs becomes a length of full data.

    Returns:
        A table of `measure_compute` with one more column, `has_own_length`. The labels of methods with epochs of their
        own length name their settings.
    """
    runs = pd.concat(tables, ignore_index=True)
    is_full = runs["method"].isin(["full", FEWER_EPOCHS])
    runs = measure_compute(
        runs.assign(method=runs["method"].mask(is_full, "full"), rate=runs["rate"].mask(is_full, 0.0))
    )
    has_own_length = runs["modifier"].str.startswith(OWN_LENGTH)
    labels = pd.Series(map(label_with_settings, runs["method_label"], runs["variant"]), runs.index)
    return runs.assign(has_own_length=has_own_length, method_label=runs["method_label"].mask(has_own_length, labels))


def saving_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each method promises, saves and reaches.

    Args:
        runs: a table of `spent`.

    Returns:
        One row per method and rate, the highest speed-up first, of the methods that are more accurate than full data at
        its smallest length: `prune rate`; `compute saved`, really, of as many epochs on full data; `accuracy (%)`;
        `speed-up` at equal accuracy with its 95 % interval, see `frontier.speed_up`; `n`, the number of seeds; and
        `chosen by the rule`, see `tables.chosen_by_rule`, with the number of seeds that recorded it if not all did.
    """
    cell = ["method_label", "epochs", "saved"]
    means = runs.groupby(cell)["test_accuracy"].transform("mean")
    runs = runs[means >= means[runs["method"] == "full"].min()]  # below, no compute of full data is as accurate
    groups = runs.groupby(cell)
    table = speed_up(runs)
    keys = pd.MultiIndex.from_frame(table[cell])
    table["rate"] = groups["rate"].mean().reindex(keys).to_numpy()
    really = 1 - table["full_epochs"] / table["epochs"]
    shown = pd.DataFrame(
        {
            "method": table["method_label"],
            "prune rate": table["rate"].map("{:.0%}".format),
            "compute saved": really.map("{:.0%}".format),
            "accuracy (%)": table["test_accuracy"].round(1),
            "speed-up": [interval(row) for row in table.itertuples()],
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


def headline(table: pd.DataFrame) -> str:
    """Return where the prune rate and the saving differ most, in one sentence without a full stop.

    A prune rate of 0 promises nothing: those methods have epochs of their own length.

    Args:
        table: a table of `saving_table`.

    Example:
        >>> rates = {"prune rate": ["30%", "50%", "0%"], "compute saved": ["13%", "45%", "80%"]}
        >>> headline(pd.DataFrame({"method": ["a", "b", "c"], **rates}))
        'a at a prune rate of 30% saves 13% of the compute'
    """
    table = table[table["prune rate"] != "0%"]
    percent = table[["prune rate", "compute saved"]].map(lambda text: float(text.rstrip("%")))
    row = table.loc[(percent["prune rate"] - percent["compute saved"]).abs().idxmax()]
    return f"{row['method']} at a prune rate of {row['prune rate']} saves {row['compute saved']} of the compute"


def best(table: pd.DataFrame) -> str:
    """Return which method saves most at equal accuracy, in one sentence without a full stop.

    Args:
        table: a table of `saving_table`; methods with a single seed count only if no other is there.

    Example:
        >>> table = pd.DataFrame({"method": ["a", "b"], "prune rate": ["0%", "50%"], "speed-up": ["2x", "1.3x"]})
        >>> best(table.assign(n=[1, 3]))
        'Highest of 1 at equal accuracy: full data needs 1.3x the compute really spent by b at a prune rate of 50%'
    """
    several = table[table["n"] > 1]
    rows = several if len(several) else table
    row = rows.iloc[0]
    spent = f"{row['speed-up']} the compute really spent by {row['method']} at a prune rate of {row['prune rate']}"
    return f"Highest of {len(rows)} at equal accuracy: full data needs {spent}"


def plot_compute_spent(runs: pd.DataFrame, title: str, caption: str) -> Figure:
    """Plot accuracy over the compute really spent: epochs of one length, and epochs of the length that the rule wants.

    Of the methods with one length, the annealed variants are left out, which are close to the others.

    Args:
        runs: a table of `spent`.
        title: the message.
        caption: what was trained, in small type below.
    """
    use_style()
    figure, panels = plt.subplots(1, 2, sharex=True, sharey=True, layout="constrained", figsize=(2.4 * WIDTH, 3.4))
    is_full = runs["method"] == "full"
    fixed = ~runs["has_own_length"] & (runs["modifier"] != "annealed")
    kinds = {"epochs of a fixed length": fixed, "epochs of their own length": runs["has_own_length"]}
    for axes, (kind, chosen) in zip(panels, kinds.items(), strict=True):
        draw_full_data(axes, runs[is_full])
        draw_methods(axes, runs[chosen & ~is_full], plain=":")
        axes.set(title=kind, xlabel="compute (epochs of full data)")
        label_in_doublings(axes)
    lengths = runs[is_full].groupby("epochs")["test_accuracy"].mean()
    lowest = lengths.nsmallest(2).index[-1]  # methods that fail would stretch the axes
    panels[0].set(ylabel="test accuracy (%)", xlim=(0.8 * lowest, None), ylim=(lengths[lowest] - 2, lengths.max() + 1))
    legend_beside(figure, fontsize=5.5)
    write_title(figure, f"{title}\n{caption}")
    return finish(figure)
