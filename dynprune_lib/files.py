"""Atomic writes; reads raise StoreError with the file name and the remedy."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from dynprune_lib.errors import StoreError, StoreNotWritable, is_out_of_memory


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file that at every moment, whatever happens, is the old one or the new one."""
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # of two machines, processes may have one number
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except IsADirectoryError as error:
        raise StoreError(f"cannot write {path}: remove the folder of that name") from error
    except OSError as error:
        raise StoreNotWritable(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):  # as after an interrupt; where it was renamed, it is not there
            part.unlink()


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; StoreNotWritable if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreNotWritable(f"cannot make the folder {folder}: {error.strerror}") from error


def read_if_there(path: Path) -> bytes | None:
    """Return the content of a file, None if there is no such file."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextlib.contextmanager
def reading(path: Path, what: str, then: str) -> Iterator[None]:
    """Raise StoreError, with the file and the remedy, for whatever goes wrong while it is read: a damaged file can make
    json, NumPy and torch raise nearly anything. Too little memory is no fault of the file and passes."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"{path} cannot be read ({reason}): make it readable, or remove it and {then}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreError(f"{path} {what} ({reason}): remove it and {then}") from error
