"""Who trains on a device: most runs share it, and a run whose seconds count has it alone.

All runs of one user on this machine meet in a folder of the system's temporary files. Each holds a lock of its own
there, and a gate lets them in; a run that is to be alone keeps the gate closed behind it.
"""

import contextlib
import getpass
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock
import torch

from dynprune_lib.errors import DeviceIsShared


@contextlib.contextmanager
def use_device(device: torch.device, alone: bool) -> Iterator[None]:
    """Holds a device for a run, `alone` or with others. While somebody has it alone, others wait at the gate.

    Raises:
        DeviceIsShared: the run wants the device alone, and another is on it.
    """
    folder = _folder(device)
    gate = filelock.FileLock(folder / "gate.lock", timeout=0 if alone else -1)
    try:
        with contextlib.ExitStack() as held:
            held.enter_context(gate)
            if alone and any(_is_held(path) for path in folder.glob("run-*.lock")):
                raise filelock.Timeout(str(folder))
            mine = filelock.FileLock(folder / f"run-{os.getpid()}.lock", timeout=0)
            mine.acquire()
            still = held.pop_all() if alone else contextlib.nullcontext()
    except filelock.Timeout:
        raise DeviceIsShared(f"another run is on the device {device}") from None
    with still:
        try:
            yield
        finally:
            mine.release()
            Path(mine.lock_file).unlink(missing_ok=True)


def _folder(device: torch.device) -> Path:
    user = getattr(os, "getuid", getpass.getuser)()
    folder = Path(tempfile.gettempdir()) / f"dynprune-{user}" / str(device).replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _is_held(path: Path) -> bool:
    try:
        with filelock.FileLock(path, timeout=0):
            pass
    except filelock.Timeout:
        return True
    path.unlink(missing_ok=True)  # of a process that has ended
    return False
