"""The benchmark of the samplers runs for every one of them; its numbers are not tested."""

import subprocess
import sys

import pytest

from dynprune_lib.samplers import SAMPLERS, Full, StaticRandom, StaticScored
from tests.helpers import ROOT


@pytest.mark.slow
def test_every_dynamic_sampler_is_measured():
    command = [sys.executable, ROOT / "benchmarks" / "samplers.py", "--largest", "10000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    rows = [line.split("|")[2].strip() for line in done.stdout.splitlines() if line.startswith("| 10,000")]
    dynamic = [each for each in SAMPLERS.values() if not issubclass(each, Full | StaticRandom | StaticScored)]
    assert rows == [*(each.__name__ for each in dynamic), "lists on the host"]
