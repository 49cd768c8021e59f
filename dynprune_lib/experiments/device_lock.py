"""Locks of a device: most runs share it, a timing run has it to itself.

Every run of a user holds a lock in a folder of that user. Runs enter through a gate, another lock; a timing run keeps
the gate closed behind it, so that no other run enters until it ends.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock
import torch
from tqdm import tqdm

from dynprune_lib.errors import DeviceBusy
from dynprune_lib.paths import private_folder

PATIENCE = 5.0  # seconds of waiting before a line says why


@contextlib.contextmanager
def use_device(device: torch.device, alone: bool) -> Iterator[None]:
    """Hold a device for a run. While a run has it alone, others wait.

    Args:
        device: the device.
        alone: whether the run needs the device to itself.

    Raises:
        DeviceBusy: the run needs the device to itself, and another run uses it.
        PrivateFolderError: the folder of the locks belongs to another user, or cannot be created.
    """
    folder = private_folder("locks", _identity(device))
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
        raise DeviceBusy(f"another run uses the device {device}") from None
    with still:
        try:
            yield
        finally:
            mine.release()
            Path(mine.lock_file).unlink(missing_ok=True)


def _identity(device: torch.device) -> str:
    """Return a name that only this device has: nodes of a cluster share the home, and each job has a GPU 0."""
    has_uuid = device.type == "cuda" and torch.cuda.is_available()
    number = torch.cuda.get_device_properties(device).uuid if has_uuid else device
    return f"{socket.gethostname()}-{number}".replace(":", "-")


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
    path.unlink(missing_ok=True)  # its process has ended
    return False
