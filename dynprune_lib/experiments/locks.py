"""Locks on files. The system frees those of a process that has ended, however it ended."""

import contextlib
import errno
import functools
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from dynprune_lib.errors import Busy, StoreNotWritable
from dynprune_lib.files import make_folder
from dynprune_lib.paths import cache_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextlib.contextmanager
def lock(path: Path, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a lock, shared or exclusively; Busy if another process holds it. A file system without locks is warned of
    once."""
    make_folder(path.parent)
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise StoreNotWritable(f"cannot write {path}: {error.strerror}") from error
    with file:
        _lock(file.fileno(), path, shared, wait)
        yield


def _lock(number: int, path: Path, shared: bool, wait: bool) -> None:
    if fcntl is None:
        return _warn_of_no_locks(path.parent)
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(number, how)
    except BlockingIOError:
        raise Busy(f"{path.stem} is in use by another process") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _warn_of_no_locks(path.parent)


@functools.cache  # once in a process
def _warn_of_no_locks(folder: Path) -> None:
    warnings.warn(
        f"the file system of {folder} has no locks: two sweeps over it may make a run twice, with the same result",
        stacklevel=2,
    )


def device_locks() -> Path:
    """Return the folder of the locks of devices, which is there from now on."""
    folder = cache_folder() / "locks"
    try:
        make_folder(folder)
    except StoreNotWritable as error:
        raise StoreNotWritable(f"{error}: set DYNPRUNE_CACHE to a folder that can be written") from error
    return folder


@contextlib.contextmanager
def use_device(device: torch.device, alone: bool) -> Iterator[None]:
    """Hold a device for a run; a timing run has it alone, and others wait. Busy if `alone` and another run uses it."""
    has_uuid = device.type == "cuda" and torch.cuda.is_available()
    number = torch.cuda.get_device_properties(device).uuid if has_uuid else device
    # nodes of a cluster share the home, and each job has a GPU 0
    path = device_locks() / f"{socket.gethostname()}-{number}.lock".replace(":", "-")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(path, shared=not alone))
        except Busy:
            if alone:
                raise Busy(f"another run uses the device {device}") from None
            tqdm.write(f"waiting for a timing run on the device {device}", file=sys.stderr)
            held.enter_context(lock(path, shared=True, wait=True))
        yield
