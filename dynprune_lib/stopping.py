"""How a process stops: on SIGINT (Ctrl-C), on SIGTERM, on pre-emption, and when the process that started it has ended.

This module imports no torch, so that it is in place before the seconds that such imports take.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

GRACE = 5.0  # seconds that a process has to stop by itself, beyond the step that it is in


PREEMPTION = {getattr(signal, name) for name in ("SIGTERM", "SIGUSR2") if hasattr(signal, name)}
_requested = threading.Event()


class Terminated(KeyboardInterrupt):
    """SIGTERM has arrived: raised in the main thread, as KeyboardInterrupt is for SIGINT."""


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code of a command that was interrupted: 143 after SIGTERM, 130 after SIGINT."""
    return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)


def raise_on_sigterm() -> None:
    """Raise Terminated in the main thread when SIGTERM arrives."""
    signal.signal(signal.SIGTERM, _raise_terminated)


def is_requested() -> bool:
    """Return whether a signal has asked to stop after the epoch under way."""
    return _requested.is_set()


@contextlib.contextmanager
def finish_epoch_on_signal(grace: float) -> Iterator[None]:
    """Let SIGTERM and SIGUSR2 end the work after the epoch under way, here and in the child processes.

    Args:
        grace: seconds that the epoch has; then Terminated is raised. With 0, nothing changes.
    """
    if not grace:
        yield
        return

    def request(_: int, __: FrameType | None) -> None:
        if not _requested.is_set():
            _requested.set()
            signal.setitimer(signal.ITIMER_REAL, grace)
            for child in multiprocessing.active_children():
                if child.pid:
                    os.kill(child.pid, signal.SIGUSR2)

    before = {number: signal.signal(number, request) for number in PREEMPTION}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _raise_terminated)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        _requested.clear()


@contextlib.contextmanager
def leave_at_once() -> Iterator[None]:
    """End the process without a traceback on SIGINT or SIGTERM: while there is nothing to tidy up."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]  # as nohup asks
    for number in handled:
        signal.signal(number, _exit)
    yield
    for number in handled:
        signal.signal(number, before[number])


@contextlib.contextmanager
def sigint_kept_from_children() -> Iterator[None]:
    """Start child processes that never see a Ctrl-C: it goes to this process, which then stops them by SIGTERM."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child inherits the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop_with_parent(parent: int) -> None:
    """Send SIGTERM to this process once `parent`, the process that started it, has ended, even by SIGKILL.

    Args:
        parent: process id, of `os.getppid()` at the start.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)  # a step that is never over
    os._exit(128 + signal.SIGTERM)


def _raise_terminated(_: int, __: FrameType | None) -> None:
    raise Terminated


def _exit(number: int, _: FrameType | None) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"dynprune: interrupted\n")
    os._exit(128 + number)
