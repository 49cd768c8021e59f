"""Signals, killed processes and closed outputs: nothing goes on unseen, nothing is lost, no traceback."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dynprune_lib.experiments.store import Store
from tests.ends_well import Case, attempt
from tests.helpers import ROOT, environment, hear_sigint

pytestmark = pytest.mark.slow

TRAIN = ["train", "--dataset", "digits", "--model", "tiny", "--batch-size", "32", "--sampler", "ucb", "--epochs"]
SOON = 60  # seconds on a loaded machine; the processes themselves give each other five


@pytest.fixture
def start():
    """Starts a command in a session of its own, and sees to it that nothing of it outlives the test."""
    started = []

    def start(*words, before=(), env=None, **options):
        command = [*before, sys.executable, "-m", "dynprune_lib", *map(str, words)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT} | options
        options |= {"env": environment(**env or {}), "preexec_fn": hear_sigint, "start_new_session": True}
        started.append(subprocess.Popen(command, **options))
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


FULL = [pytest.param(way, marks=pytest.mark.full) for way in ("SIGTERM", "SIGTERM to the group", "ignored Ctrl-C")]


@pytest.mark.parametrize("way", ["Ctrl-C", "SIGKILL", "SIGKILL of a worker", *FULL])
def test_a_sweep_that_trains_ends_well(way):
    attempt(Case("sweep", "trains", way), soon=SOON)


@pytest.mark.parametrize("way", ["Ctrl-C", FULL[1]])
def test_a_sweep_that_starts_ends_well(way):
    attempt(Case("sweep", "starts", way), soon=SOON)


@pytest.mark.parametrize("way", ["SIGKILL", "Ctrl-C", FULL[0]])
def test_a_kernel_ends_with_the_command_that_executes_its_notebook(way):
    pytest.importorskip("papermill", reason="the notebooks' packages are not installed")
    attempt(Case("reproduce", "runs a kernel", way), soon=SOON)


def test_an_interrupt_while_modules_are_imported_shows_no_traceback(start):
    process = start(*TRAIN, 100_000, env={"PYTHONPROFILEIMPORTTIME": "1"})  # a line for each module
    next(line for line in process.stderr if "torch" in line)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SOON)
    assert process.returncode == 130
    assert "dynprune: interrupted" in errors
    assert "Traceback" not in errors


def test_a_single_run_that_is_interrupted_is_named_and_keeps_its_checkpoint(start, tmp_path):
    process = start(*TRAIN, 100_000, "--results", tmp_path)
    end = time.monotonic() + SOON
    while not list(tmp_path.glob("train/.running/*.pt")):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=SOON)
    assert process.returncode == 143
    last = errors.splitlines()[-1]
    assert last.startswith("dynprune: interrupted, ucb-0-seed0-")
    assert last.endswith("under way; the same command resumes from the last checkpoint")
    assert list(tmp_path.glob("train/.running/*.pt"))


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


def test_a_run_needs_no_output_at_all(start, tmp_path):
    process = start(*TRAIN, 2, "--results", tmp_path, before=["sh", "-c", 'exec "$@" >&- 2>&-', "sh"])
    assert process.wait(timeout=SOON) == 0
    assert len(Store(tmp_path / "train").records()) == 1
