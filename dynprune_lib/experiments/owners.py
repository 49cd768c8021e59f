"""Owners of leases: which process of which machine, and whether it has ended."""

import contextlib
import functools
import os
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Owner:
    """What a lease says about its owner. Times are of the owner's clock, for people only.

    Args:
        token: of this lease alone.
        host: name of the machine.
        machine: identity of the machine, its boot and the space of its process ids.
        pid: process id.
        started: when that process started, in the machine's ticks; process ids are used again.
        since: seconds of `time.time()` when the lease began.
        renewed: seconds of `time.time()` when it was last renewed.
        note: what the owner is doing.
    """

    token: str
    host: str
    machine: str
    pid: int
    started: int | None
    since: float
    renewed: float
    note: str = ""

    @classmethod
    def this_process(cls) -> Self:
        """Return this process as the owner of a new lease."""
        now = time.time()
        return cls(uuid.uuid4().hex, socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()), now, now)

    @property
    def is_local(self) -> bool:
        """Whether the owner is, or was, a process that this machine can see."""
        return self.machine == _machine()

    @property
    def has_ended(self) -> bool:
        """Whether the owner is known to have ended: only a process of this machine is."""
        return self.is_local and not _is_alive(self.pid, self.started)


@functools.cache
def _machine() -> str:
    """Return an identity that two processes share only if each sees the other's process id."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # not Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _is_alive(pid: int, started: int | None) -> bool:
    if sys.platform == "win32":  # where signal 0 would end the process: its leases expire instead
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        pass
    return started is None or _started(pid) == started


def _started(pid: int) -> int | None:
    """Return when a process started, in ticks; None if it has ended, or the system does not say."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(fields[18])
