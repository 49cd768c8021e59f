"""The tables and the pictures of the figures that the notebooks, executed as committed, have written, against git's.

`make test` runs this file after the notebooks; without them it compares nothing, so its name is not that of a test.
"""

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dynprune_lib.errors import DataError
from dynprune_lib.experiments.data import load_dataset
from tests.helpers import ROOT

OF_IMAGES = "figures/laptop/sometimes_samples_images"  # written only where the images are
TOLERANCE = 0.2  # mean difference, of 255: text may move by part of a pixel; a line that is missing makes 0.1 to 1


def _git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout


def _committed(end):
    try:
        return _git("ls-files", f"figures/*.{end}").decode().splitlines()
    except (OSError, subprocess.CalledProcessError):  # no git checkout
        return []


@pytest.mark.parametrize("name", _committed("csv"))
def test_the_notebooks_write_the_committed_table(name):
    written, committed = map(pd.read_csv, _both(name))
    pd.testing.assert_frame_equal(written, committed, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", _committed("png"))
def test_the_notebooks_draw_the_committed_figure(name):
    written, committed = (np.asarray(Image.open(each).convert("RGB"), float) for each in _both(name))
    assert written.shape == committed.shape
    assert np.abs(written - committed).mean() < TOLERANCE


def _both(name):
    """Return what a notebook has written, and what is committed."""
    path, began = ROOT / name, Path(os.environ["NOTEBOOKS_SINCE"])  # touched before the notebooks were executed
    if path.stat().st_mtime < began.stat().st_mtime and name.startswith(OF_IMAGES) and not _has_images():
        pytest.skip("CIFAR-10 is not here")
    assert path.stat().st_mtime >= began.stat().st_mtime, f"no notebook has written {name}"
    return path, io.BytesIO(_git("show", f"HEAD:{name}"))


def _has_images():
    try:
        return bool(load_dataset("cifar10"))
    except DataError:
        return False
