import getpass
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.experiments.data import load_dataset
from dynprune_lib.experiments.store import Store
from tests.helpers import tiny

# the runs of the tests, and of the notebooks that they start, share no locks with other runs of this machine: some of
# them need the device to themselves
worker = os.environ.get("PYTEST_XDIST_WORKER", "")  # several run the tests side by side
os.environ["TMPDIR"] = str(Path(tempfile.gettempdir()) / f"dynprune-tests-{getpass.getuser()}{worker}")
Path(os.environ["TMPDIR"]).mkdir(exist_ok=True)
tempfile.tempdir = None  # so that it is looked up again
os.environ["DYNPRUNE_CACHE"] = str(Path(os.environ["TMPDIR"]) / "cache")

if not worker:  # it shows the warnings of the others and imports their classes: those of Lightning import torchvision
    torchvision_datasets()

torch.set_num_threads(1)  # tensors are small and tests run in parallel: more threads only wait for each other


@pytest.fixture(scope="session")
def digits():
    return load_dataset("digits")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def spec():
    """A run that takes a fraction of a second."""
    return tiny("ucb", 0.5, epochs=4, batch_size=32)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path)
        yield chromium
        chromium.close()
