"""Writing files so that none is ever half-written."""

import contextlib
import os
from pathlib import Path

from dynprune_lib.errors import StoreError, StoreNotWritable


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file so that at every moment, whatever happens, it is the old one or the new one.

    Raises:
        StoreNotWritable: it cannot be written; the message says why.
        StoreError: a folder is in its place.
    """
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except IsADirectoryError as error:
        raise StoreError(f"cannot write {path}: a folder of that name is there: remove it") from error
    except OSError as error:
        raise StoreNotWritable(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):  # as after an interrupt; where it was renamed, it is not there
            part.unlink()


def _sync_folder(folder: Path) -> None:
    """Have the new name of a file survive a loss of power."""
    with contextlib.suppress(OSError):  # not every system and file system can
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; raise StoreNotWritable with the reason if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreNotWritable(f"cannot make the folder {folder}: {error.strerror}") from error
