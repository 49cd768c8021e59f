"""Leases: claims that hold on a shared file system, NFS included, and end with their owner.

A lease is a file that its owner links to a name that nobody has, and rewrites every RENEWAL seconds. No clocks of two
machines are compared: a process takes over a file that has not changed for DURATION seconds of its own clock. On the
machine of the owner, the lease of a process that has ended is free at once.

An owner that was stopped for longer learns from `check` that its lease is lost, before it writes. For a moment there
can still be two owners. The store bears it: every file is written whole, and both owners compute the same.

filelock has such a lease too, but never takes one over on NFS: it needs an atomic exchange of two names.
"""

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

from dynprune_lib.errors import RunLocked
from dynprune_lib.experiments.owners import Owner

DURATION = 120.0  # seconds without a renewal after which others take over; NFS clients cache attributes for up to 60
RENEWAL = 15.0
SIZE = 2048  # bytes of every lease, so that it is rewritten in place
NOTE = 100  # characters of a note


class Lease:
    """Lease that this process holds, renewed by a thread of its own until it is released.

    Args:
        path: of the lease, in a folder that exists.

    Attributes:
        note: what the owner is doing, written with the next renewal.

    Raises:
        RunLocked: another process holds it.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "run.lock"
        >>> lease = Lease(path)
        >>> read_owner(path).pid == os.getpid(), lease.is_lost()
        (True, False)
        >>> lease.release()
        >>> path.exists()
        False
    """

    def __init__(self, path: Path) -> None:
        self.path, self.note = path, ""
        self._owner = Owner.this_process()
        self._writing = threading.Lock()  # who reads meanwhile may see half of it
        own = path.with_name(f".{path.stem}.{self._owner.token}")
        self._file = own.open("xb", buffering=0)
        try:
            self._write()
            _take(own, path)
        except BaseException:
            self._file.close()
            own.unlink(missing_ok=True)
            raise
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()
        _held[path] = self

    def is_lost(self) -> bool:
        """Return whether another process has taken the lease over."""
        with self._writing:
            owner = read_owner(self.path)
        return owner is None or owner.token != self._owner.token

    def release(self) -> None:
        """Let others have the lease. One that is lost stays with its new owner."""
        del _held[self.path]
        self._released.set()
        self._thread.join()
        self._file.close()
        if not self.is_lost():
            _remove(self.path, self._owner.token)

    def _renew(self) -> None:
        # also where the lease seems to be lost: it may be unreadable, or put aside, for a moment only
        while not self._released.wait(RENEWAL):
            with contextlib.suppress(OSError):  # a server that restarts, for one: the next renewal may succeed
                self._write()

    def _write(self) -> None:
        """Rewrite the file that this process created, even where another has its name by now."""
        content = asdict(replace(self._owner, renewed=time.time(), note=self.note[:NOTE]))
        with self._writing:
            self._file.seek(0)
            self._file.write(json.dumps(content).encode().ljust(SIZE))
            os.fsync(self._file.fileno())


_held: dict[Path, Lease] = {}  # by this process
_seen: dict[Path, tuple[bytes, float]] = {}  # of others: what a lease said last, and since when it has


def check(path: Path) -> None:
    """Raise RunLocked if this process held a lease and another has taken it over."""
    if (lease := _held.get(path)) and lease.is_lost():
        raise RunLocked(f"{path.stem} was taken over by another process: this one had stopped for {DURATION:.0f} s")


def note(path: Path, text: str) -> None:
    """Have a lease of this process say what its owner is doing; do nothing if this process does not hold it."""
    if lease := _held.get(path):
        lease.note = text


def read_owner(path: Path) -> Owner | None:
    """Return the owner of a lease; None if there is no lease, or it cannot be read."""
    return _parse(_read(path))


def wait_for_expiry(paths: Iterable[Path], stop: Callable[[], bool]) -> bool:
    """Wait for as long as an owner on another machine may have ended: until all leases are renewed, or one expires.

    Args:
        paths: of leases that others hold.
        stop: asked about once a second whether to stop waiting.

    Returns:
        Whether a lease is free.
    """
    first = {path: _read(path) for path in paths}
    waiting = {path: content for path, content in first.items() if content is not None and not _is_local(content)}
    while waiting and not stop():
        if any(_has_expired(path, _read(path)) for path in waiting):
            return True
        waiting = {path: content for path, content in waiting.items() if _read(path) == content}
        time.sleep(min(1.0, RENEWAL) if waiting else 0)
    return False


def _take(own: Path, path: Path) -> None:
    """Give the file `own` the name of a lease; raise RunLocked if another process holds it."""
    for _ in range(2):
        with contextlib.suppress(FileExistsError):
            return _rename_to_free(own, path)
        content = _read(path)
        if not _has_expired(path, content):
            break
        _remove(path, _token(content))
    raise RunLocked(f"{path.stem} is being trained by another process")


def _rename_to_free(own: Path, path: Path) -> None:
    """Rename a file; raise FileExistsError if there is one of the new name."""
    try:
        os.link(own, path)
    except FileExistsError:
        if own.stat().st_nlink == 1:  # otherwise NFS has asked twice, as the first answer was lost
            raise
    except OSError:  # this file system has no links; one that cannot be written raises again
        path.open("xb").close()
        own.replace(path)
        return
    own.unlink()


def _has_expired(path: Path, content: bytes | None) -> bool:
    """Return whether nobody holds a lease with this content any more, by what this process has seen until now."""
    now = time.monotonic()
    if content is None:
        return True
    before, since = _seen.get(path, (None, now))
    if content != before:
        since = now
    _seen[path] = content, since
    owner = _parse(content)
    return (owner is not None and owner.has_ended) or now - since >= DURATION


def _remove(path: Path, token: str | None) -> None:
    """Remove a lease with this token. One that has another, as its owner was quicker, is put back."""
    aside = path.with_name(f".{path.stem}.{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # another process has removed it; or keeps it open, where that forbids it
        path.rename(aside)
        if _token(_read(aside)) == token:
            aside.unlink()
        else:
            aside.replace(path)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:  # as ESTALE of NFS: it was replaced while it was opened
        return str(error).encode()


def _parse(content: bytes | None) -> Owner | None:
    try:
        return Owner(**json.loads(content or b""))
    except (TypeError, ValueError):  # being written, or of another version
        return None


def _token(content: bytes | None) -> str | None:
    owner = _parse(content)
    return owner.token if owner else None


def _is_local(content: bytes) -> bool:
    owner = _parse(content)
    return owner is not None and owner.is_local
