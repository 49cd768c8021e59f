"""Signals, killed processes and closed outputs: nothing goes on unseen, nothing is lost, no traceback."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dynprune_lib.experiments.store import Store
from tests.ends_well import WAYS, Case, attempt
from tests.helpers import ROOT, hear_sigint

pytestmark = pytest.mark.slow

LONG = ["--dataset", "digits", "--model", "tiny", "--batch-size", "32", "--epochs", "100000", "--sampler", "ucb"]
SOON = 30  # seconds on a loaded machine; the processes themselves give each other five


@pytest.fixture
def start():
    """Starts a command in a session of its own, and sees to it that nothing of it outlives the test."""
    started = []

    def start(*words, **options):
        command = [sys.executable, "-m", "dynprune_lib", *map(str, words)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        text = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        options = {"cwd": ROOT, "env": environment, "preexec_fn": hear_sigint, **text} | options
        started.append(subprocess.Popen(command, start_new_session=True, **options))
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("way", WAYS)
def test_a_sweep_that_trains_ends_well(way):
    attempt(Case("sweep", "trains", way), soon=SOON)


@pytest.mark.parametrize("way", ["Ctrl-C", "SIGTERM to the group"])
def test_a_sweep_that_starts_ends_well(way):
    attempt(Case("sweep", "starts", way), soon=SOON)


def test_a_kernel_ends_with_the_command_that_executes_its_notebook():
    pytest.importorskip("papermill", reason="the notebooks' packages are not installed")
    attempt(Case("reproduce", "runs a kernel", "SIGKILL"), soon=SOON)


def test_an_interrupt_while_modules_are_imported_shows_no_traceback(start):
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}  # a line for each module
    process = start("train", *LONG, env=environment)
    for line in process.stderr:
        if "torch" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SOON)
    assert process.returncode == 130
    assert "dynprune: interrupted" in errors
    assert "Traceback" not in errors


def test_whoever_reads_the_output_may_stop_reading(start):
    reader, writer = os.pipe()
    os.close(reader)
    process = start("sweep", "smoke", "--dry-run", stdout=writer)
    os.close(writer)
    _, errors = process.communicate(timeout=SOON)
    assert (process.returncode, errors) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_an_output_that_is_full_is_told_in_a_line(start):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = start("sweep", "smoke", "--dry-run", stdout=full)
        _, errors = process.communicate(timeout=SOON)
    assert process.returncode == 1
    assert errors == "dynprune: the output cannot be read or written: No space left on device\n"


def test_a_run_needs_no_output_at_all(tmp_path):
    words = ["train", *LONG[:-4], "--epochs", "2", "--results", str(tmp_path)]
    shell = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-m", "dynprune_lib", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    assert subprocess.run(shell, cwd=ROOT, env=environment, timeout=4 * SOON).returncode == 0
    assert len(Store(tmp_path / "train").records()) == 1
