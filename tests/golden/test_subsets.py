"""No step changes what a sampler selects."""

import platform

import pytest
import torch

from tests.golden import read
from tests.golden.subsets import all_hashes

PINNED = "2.13.0"
IS_KNOWN = torch.__version__.split("+")[0] == PINNED and platform.machine() in ("x86_64", "AMD64")


@pytest.mark.skipif(not IS_KNOWN, reason=f"random draws are those of torch {PINNED} on x86-64")
def test_no_sampler_selects_other_samples():
    assert all_hashes() == read("subsets.txt")
