"""Where things are, whatever folder a notebook or a command is started in."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The checkout that this package runs from; where it is installed without one, the working directory."""
    return PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else Path.cwd()


def data_dir(given: str | Path | None = None) -> Path:
    """The folder of the data sets: the one given, else DYNPRUNE_DATA, else `data` in the checkout."""
    return Path(given or os.environ.get("DYNPRUNE_DATA") or root() / "data").expanduser()


def results_dir(given: str | Path | None = None) -> Path:
    """The folder of the run records, one folder a profile in it: the one given, else `results` in the checkout."""
    return Path(given).expanduser() if given else root() / "results"
