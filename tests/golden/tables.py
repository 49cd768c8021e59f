"""The tables of the figures: those that the notebooks, executed as committed, have written, against the committed ones.

`make test` runs this file after the notebooks; without them it compares nothing, so its name is not that of a test.
"""

import io
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from dynprune_lib.errors import DataError
from dynprune_lib.experiments.data import load_dataset
from tests.helpers import ROOT

OF_IMAGES = "figures/laptop/sometimes_samples_images.csv"  # written only where the images are


def _git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _committed():
    try:
        return _git("ls-files", "figures/*.csv").splitlines()
    except (OSError, subprocess.CalledProcessError):  # no git checkout
        return []


@pytest.mark.parametrize("name", _committed())
def test_the_notebooks_write_the_committed_table(name):
    path, began = ROOT / name, Path(os.environ["NOTEBOOKS_SINCE"])  # touched before the notebooks were executed
    if path.stat().st_mtime < began.stat().st_mtime and name == OF_IMAGES and not _has_images():
        pytest.skip("CIFAR-10 is not here")
    assert path.stat().st_mtime >= began.stat().st_mtime, f"no notebook has written {name}"
    committed = pd.read_csv(io.StringIO(_git("show", f"HEAD:{name}")))
    pd.testing.assert_frame_equal(pd.read_csv(path), committed, rtol=1e-5, atol=1e-12)


def _has_images():
    try:
        return bool(load_dataset("cifar10"))
    except DataError:
        return False
