"""Folders of the project, whatever the working directory of a notebook or a command."""

import os
import stat
import tempfile
from pathlib import Path

from dynprune_lib.errors import DynpruneError, PrivateFolderError

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


def private_folder(*names: str) -> Path:
    """Create and return a folder that only this user can enter, for locks and caches.

    It is in DYNPRUNE_CACHE, else XDG_CACHE_HOME/dynprune, else ~/.cache/dynprune, else, as for a read-only home, in the
    folder of temporary files.
    """
    try:
        folder = _make_private(_cache_folder())
    except PrivateFolderError:
        if "DYNPRUNE_CACHE" in os.environ:
            raise
        folder = _make_private(Path(tempfile.gettempdir()) / f"dynprune-{_user_number()}")
    for name in names:
        folder = _make_private(folder / name)
    return folder


def _cache_folder() -> Path:
    if given := os.environ.get("DYNPRUNE_CACHE"):
        return Path(given)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dynprune"
    except RuntimeError as error:  # this user has no home
        raise PrivateFolderError(str(error)) from error


def _make_private(folder: Path) -> Path:
    remedy = "remove it, or set DYNPRUNE_CACHE to another folder"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISLNK(found.st_mode) or found.st_uid != _user_number():
            raise PrivateFolderError(f"{folder} is a link, or belongs to another user: {remedy}")
        folder.chmod(0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PrivateFolderError(f"{folder} cannot be written: {remedy}")
    except OSError as error:
        raise PrivateFolderError(f"cannot create the folder {folder} ({error.strerror}): {remedy}") from error
    return folder


def _user_number() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
