"""The numbers of the README, written from the records: no number in its prose is typed."""

import re

import pandas as pd

from dynprune_lib import figures
from dynprune_lib.paths import results_dir, root
from dynprune_lib.profile import load_profile
from dynprune_lib.store import Store, write_whole

PROFILE = "laptop"
BLOCK = re.compile(r"(?<=<!-- results: written by `make render` -->\n).*?(?=<!-- end of results -->)", re.DOTALL)
CLAIMS = (
    ("C3, dynamic random beats static random", "dynamic-random", "static-random"),
    ("C5, ε-greedy beats dynamic random", "epsilon-greedy", "dynamic-random"),
    ("C5, UCB beats dynamic random", "ucb", "dynamic-random"),
)


def results_block() -> str:
    """The table of accuracies and the verdicts of the claims, in Markdown, from the committed records."""
    specs = load_profile(PROFILE).runs("accuracy_vs_pruning_rate")
    store = Store(results_dir() / PROFILE)
    runs = figures.tabulate(record for spec in specs if (record := store.load(spec)))
    title = f"Test accuracy in % after the last epoch, mean and 95 % interval ({figures.caption(PROFILE, runs)}):"
    lines = ["", title, "", *_markdown(figures.accuracy_table(runs)), ""]
    for claim, *methods in CLAIMS:
        differences = figures.paired_differences(runs, *methods)
        lines.append(f"- {claim}: **{figures.judge(differences)}** ({figures.describe_differences(differences)}).")
    for method in ("ucb", "epsilon-greedy", "dynamic-random"):
        differences = figures.paired_differences(runs, method, "fewer-epochs")
        label = figures.LOOKS[method].label
        lines.append(f"- {label} against full data in fewer epochs: {figures.describe_differences(differences)}.")
    return "\n".join([*lines, "", ""])


def update_readme() -> None:
    """Writes the block of results into the README."""
    path = root() / "README.md"
    write_whole(path, BLOCK.sub(lambda _: results_block(), path.read_text()).encode())


def _markdown(table: pd.DataFrame) -> list[str]:
    head = ["sample passes saved", *table.columns]
    rows = [head, ["---"] * len(head), *([name, *row] for name, row in zip(table.index, table.values, strict=True))]
    return [f"| {' | '.join(row)} |" for row in rows]
