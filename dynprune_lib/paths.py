"""Folders of the project, whatever the working directory of a notebook or a command."""

import os
from pathlib import Path

from dynprune_lib.errors import DynpruneError

PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """Return the checkout that this package is imported from, else the one around the working directory, else that."""
    if (PACKAGE.parent / "pyproject.toml").is_file():
        return PACKAGE.parent
    here = Path.cwd()
    return next((each for each in (here, *here.parents) if (each / "claims.yaml").is_file()), here)


def data_dir(given: str | Path | None = None) -> Path:
    """Return the folder of the data sets: the one given, else DYNPRUNE_DATA, else `data` in the checkout."""
    return expand(given or os.environ.get("DYNPRUNE_DATA") or root() / "data")


def results_dir(given: str | Path | None = None) -> Path:
    """Return the folder of all profiles' run records: the one given, else `results` in the checkout."""
    return expand(given) if given else root() / "results"


def expand(path: str | Path) -> Path:
    """Return a path with ~ and ~user replaced."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DynpruneError(f"{path}: {error}: write the path without ~") from error


def cache_folder() -> Path:
    """Return the folder of locks and decoded images: DYNPRUNE_CACHE, else `dynprune` in XDG_CACHE_HOME or ~/.cache."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expand(os.environ.get("DYNPRUNE_CACHE") or f"{caches}/dynprune")
