"""How a process stops: on SIGINT (Ctrl-C), on SIGTERM, and when the process that started it has ended.

This module imports no torch: it must work before the seconds that such imports take.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM has arrived: raised in the main thread, as KeyboardInterrupt is for SIGINT."""


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code of a command that was interrupted: 143 after SIGTERM, 130 after SIGINT."""
    return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)


def leave_at_once() -> None:
    """Let SIGINT and SIGTERM end this process without a traceback, while there is nothing to tidy up."""
    for number in _heard():
        signal.signal(number, _exit)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt and Terminated in the main thread until the context ends."""
    before = {number: signal.getsignal(number) for number in _heard()}
    for number in before:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else _raise_terminated)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heard() -> list[signal.Signals]:
    """Return the signals that this process does not ignore, as nohup and background jobs of shells do."""
    return [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Make SIGINT and SIGTERM wait until the context ends. Processes that are started meanwhile never see them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent(parent: int) -> None:
    """Kill this process once `parent`, the process that started it, has ended, even by SIGKILL."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(128 + signal.SIGTERM)


def _raise_terminated(_: int, __: FrameType | None) -> None:
    raise Terminated


def _exit(number: int, _: FrameType | None) -> None:
    os.write(2, b"dynprune: interrupted\n")
    os._exit(128 + number)
