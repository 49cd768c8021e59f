"""Environment of a run: versions, system, device, data."""

import functools
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from dynprune_lib import __version__
from dynprune_lib.experiments.data import TensorData
from dynprune_lib.experiments.precision import used_precision
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.transformer import SHA256, WEIGHTS
from dynprune_lib.paths import PACKAGE, root


def describe_environment(spec: RunSpec, data: TensorData, jobs: int) -> dict[str, Any]:
    """Return what is needed to repeat a run and to judge its timings; `jobs` runs share the device."""
    return {
        "dynprune": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "device": _device_name(data.device),
        "memory_gib": _memory_gib(data.device),
        "threads": torch.get_num_threads(),
        "jobs": jobs,
        "data_md5": data.md5,
        "precision": used_precision(spec.precision, data.device),
        **({"weights_sha256": SHA256[WEIGHTS]} if spec.model == "minilm" else {}),
    }


@functools.cache  # the commit of the code that this process has loaded, whatever is checked out later
def _commit() -> str:
    """Return the commit of the checkout, with a + if files were changed; empty outside a checkout."""
    if root() != PACKAGE.parent:  # an installed package may lie inside the repository of something else
        return ""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores, {names[0]}" if names else platform.machine()


def _memory_gib(device: torch.device) -> float | None:
    if device.type == "cuda":
        return round(torch.cuda.get_device_properties(device).total_memory / 2**30, 1)
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return None
