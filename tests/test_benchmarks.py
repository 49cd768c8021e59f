"""The benchmarks run for every sampler; their numbers are not tested."""

import subprocess
import sys

import pytest

from dynprune_lib.paths import root
from dynprune_lib.samplers import SAMPLERS, Full, StaticRandom, StaticScored


def benchmark(name, *options):
    command = [sys.executable, root() / "benchmarks" / f"{name}.py", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_dynamic_sampler_is_measured():
    done = benchmark("samplers", "--largest", "10000")
    assert not done.returncode, done.stderr
    rows = [line.split("|")[2].strip() for line in done.stdout.splitlines() if line.startswith("| 10,000")]
    dynamic = [each for each in SAMPLERS.values() if not issubclass(each, Full | StaticRandom | StaticScored)]
    assert rows == [*(each.__name__ for each in dynamic), "lists on the host"]


@pytest.mark.slow
def test_a_profile_without_cifar_is_refused():
    done = benchmark("training", "--profile", "smoke")
    assert done.returncode == 2
    assert "profile smoke trains digits: choose one that trains cifar10 or cifar100" in done.stderr
