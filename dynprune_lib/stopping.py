"""How a process stops: on SIGINT (Ctrl-C), on SIGTERM, and when the process that started it has ended.

This module imports no torch, so that it is in place before the seconds that such imports take.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

GRACE = 5.0  # seconds that a process has to stop by itself, beyond the step that it is in


class Terminated(KeyboardInterrupt):
    """SIGTERM has arrived: raised in the main thread, as KeyboardInterrupt is for SIGINT."""


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code of a command that was interrupted: 143 after SIGTERM, 130 after SIGINT."""
    return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)


def raise_on_sigterm() -> None:
    """Raise Terminated in the main thread when SIGTERM arrives."""
    signal.signal(signal.SIGTERM, _raise_terminated)


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
    time.sleep(GRACE)  # a step that is never over, waiting for another rank for one
    os._exit(128 + signal.SIGTERM)


def _raise_terminated(_: int, __: FrameType | None) -> None:
    raise Terminated


def _exit(number: int, _: FrameType | None) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"dynprune: interrupted\n")
    os._exit(128 + number)
