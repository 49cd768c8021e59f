"""Who trains on a device: most runs share it, and a run whose seconds count has it alone.

All runs of one user on this machine meet in a folder of that user. Each holds a lock of its own there, and a gate lets
them in; a run that is to be alone keeps the gate closed behind it.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock
import torch
from tqdm import tqdm

from dynprune_lib.errors import DeviceBusy
from dynprune_lib.paths import private_folder

PATIENCE = 5.0  # seconds of waiting before a line says what is waited for


@contextlib.contextmanager
def use_device(device: torch.device, alone: bool) -> Iterator[None]:
    """Hold a device for a run, `alone` or with others. While somebody has it alone, others wait at the gate.

    Raises:
        DeviceBusy: the run needs the device alone, and another is on it.
        PrivateFolderError: the folder of the locks is somebody else's, or cannot be made.
    """
    folder = private_folder("locks", str(device).replace(":", "-"))
    gate = filelock.FileLock(folder / "gate.lock")
    try:
        with contextlib.ExitStack() as held:
            _pass(gate, device, alone)
            held.callback(gate.release)
            if alone and any(_is_held(path) for path in folder.glob("run-*.lock")):
                raise filelock.Timeout(str(folder))
            mine = filelock.FileLock(folder / f"run-{os.getpid()}.lock", timeout=0)
            mine.acquire()
            still = held.pop_all() if alone else contextlib.nullcontext()
    except filelock.Timeout:
        raise DeviceBusy(f"another run is on the device {device}") from None
    with still:
        try:
            yield
        finally:
            mine.release()
            Path(mine.lock_file).unlink(missing_ok=True)


def _pass(gate: filelock.FileLock, device: torch.device, alone: bool) -> None:
    if alone:
        gate.acquire(timeout=0)
        return
    try:
        gate.acquire(timeout=PATIENCE)
    except filelock.Timeout:
        tqdm.write(f"waiting for a timing run that has the device {device} to itself", file=sys.stderr)
        gate.acquire()


def _is_held(path: Path) -> bool:
    try:
        with filelock.FileLock(path, timeout=0):
            pass
    except filelock.Timeout:
        return True
    path.unlink(missing_ok=True)  # of a process that has ended
    return False
