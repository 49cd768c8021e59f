"""Where a run was made: versions, device, data."""

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from dynprune_lib.distributed import world_size
from dynprune_lib.experiments.data import ImageData
from dynprune_lib.paths import PACKAGE


def describe_environment(data: ImageData, jobs: int) -> dict[str, Any]:
    """What a reader needs to make the run again, and to judge its times; `jobs` runs shared the device."""
    return {
        "dynprune": _package_version(),
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": _device_name(data.device),
        "threads": torch.get_num_threads(),
        "jobs": jobs,
        "ranks": world_size(),
        "data_md5": data.md5,
    }


def _package_version() -> str:
    try:
        return version("dynprune")
    except PackageNotFoundError:  # run from a plain checkout
        return "checkout"


@functools.cache  # of the code that this process has loaded, whatever is checked out later
def _commit() -> str:
    """The checkout's commit, with a + if files of it were changed; empty outside a checkout."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores, {names[0]}" if names else platform.machine()
