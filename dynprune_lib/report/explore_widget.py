"""The explorer with menus. Needs the extra `explore`."""

import html
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dynprune_lib.errors import DynpruneError, NotebookError
from dynprune_lib.experiments.selection_groups import GROUPS
from dynprune_lib.report import explore
from dynprune_lib.report.style import ordered

ALL = "all"
FIRST = ["UCB", "ε-greedy", "dynamic random"]  # the methods that are shown first: the paper's


def explorer(results: str | Path | None = None, data_dir: str | Path | None = None) -> Any:
    """Return a widget with menus: data set and net, methods, rate, number of epochs, and group of samples.

    Below the menus are accuracy over compute, the selection counts and the images of the group, from records alone.

    Args:
        results: folder of the run records. Default: `results` in the checkout.
        data_dir: folder of the data sets, for the images. Default: see `load_dataset`.

    Raises:
        NotebookError: ipywidgets is not installed.
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise NotebookError("ipywidgets is not installed: run pip install -e '.[explore]'") from error
    table = explore.runs(results)
    wide = {"layout": {"width": "28em"}, "style": {"description_width": "8em"}}
    menus = {
        "setting": ipywidgets.Dropdown(description="data set, net", options=list(table["setting"].unique()), **wide),
        "kinds": ipywidgets.SelectMultiple(description="methods", rows=8, **wide),
        "rate": ipywidgets.Dropdown(description="skipped", **wide),
        "epochs": ipywidgets.Dropdown(description="epochs", **wide),
        "group": ipywidgets.Dropdown(description="group", options=GROUPS, value="always", **wide),
    }

    def offer(_: Any = None) -> None:
        for name, (options, value) in offered(table, menus["setting"].value).items():
            menus[name].options, menus[name].value = options, value

    # no Output widget: for each of its outputs, nbclient sends a message that can make it miss the end of the cell
    answers = ipywidgets.VBox()

    def show(_: Any = None) -> None:
        chosen = {name: menu.value for name, menu in menus.items()}
        made = shown(table, **chosen, results=results, data_dir=data_dir)
        answers.children = [
            ipywidgets.Image(value=_png(each)) if isinstance(each, Figure) else ipywidgets.HTML(html.escape(each))
            for each in made
        ]

    offer()
    menus["setting"].observe(offer, names="value")
    for menu in menus.values():
        menu.observe(show, names="value")
    show()
    return ipywidgets.VBox([*menus.values(), answers])


def offered(table: pd.DataFrame, setting: str) -> dict[str, tuple[list, Any]]:
    """Return the options of the menus for a data set and net, and the value of each that is chosen first."""
    runs = explore.choose(table, setting=setting)
    methods = runs[runs["method"] != "full"]
    by_method = methods.groupby("method")["kind"].unique()
    kinds = [kind for method in ordered(by_method.index) for kind in sorted(by_method[method])]
    rates = [(f"{rate:.0%}", rate) for rate in sorted(set(methods["rate"]))]
    counted = runs.loc[runs["has_counts"], "epochs"]
    epochs: list[Any] = [ALL, *sorted({int(epochs) for epochs in runs["epochs"]})]
    return {
        "kinds": (kinds, tuple(kind for kind in FIRST if kind in kinds) or tuple(kinds[:1])),
        "rate": ([(ALL, ALL), *rates], 0.5 if 0.5 in set(methods["rate"]) else ALL),
        "epochs": (epochs, ALL if counted.empty else int(counted.mode()[0])),
    }


def shown(
    table: pd.DataFrame,
    setting: str,
    kinds: tuple[str, ...],
    rate: float | str,
    epochs: int | str,
    group: str,
    results: str | Path | None = None,
    data_dir: str | Path | None = None,
) -> Iterator[Figure | str]:
    """Yield the three figures for a choice; in place of one that cannot be drawn, the reason."""
    chosen: dict[str, Any] = {"setting": setting, "kind": ["full data", *kinds]}
    chosen |= {} if rate == ALL else {"rate": [0, rate]}
    of_length = chosen if epochs == ALL else chosen | {"epochs": epochs}
    yield _or_reason(lambda: explore.plot_accuracy(explore.choose(table, **chosen)))
    yield _or_reason(lambda: explore.plot_counts(explore.choose(table, **of_length), results))
    yield _or_reason(lambda: explore.plot_group(explore.choose(table, **of_length), group, results, data_dir))


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _or_reason(plot: Callable[[], Figure]) -> Figure | str:
    try:
        return plot()
    except DynpruneError as error:
        return str(error)
