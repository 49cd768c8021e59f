"""Signals, killed processes and closed outputs: nothing goes on unseen, nothing is lost, no traceback."""

import os
import signal
from pathlib import Path

import pytest

from dynprune_lib.experiments.store import Store
from tests.ends_well import attempt, started
from tests.helpers import wait_until

pytestmark = pytest.mark.slow

TRAIN = ["train", "--dataset", "digits", "--model", "tiny", "--batch-size", "32", "--sampler", "ucb", "--epochs"]
SOON = 60  # seconds on a loaded machine; the processes themselves give each other five
CASES = [("trains", way) for way in ("Ctrl-C", "SIGKILL", "SIGKILL of a worker")] + [("starts", "Ctrl-C")]
FULL = [("trains", way) for way in ("SIGTERM", "SIGTERM to the group", "ignored Ctrl-C")]
FULL += [("starts", "SIGTERM to the group"), ("runs a kernel", "SIGTERM")]


@pytest.mark.parametrize(
    ("moment", "way"),
    [*CASES, *(("runs a kernel", way) for way in ("SIGKILL", "Ctrl-C"))]
    + [pytest.param(*each, marks=pytest.mark.full) for each in FULL],
)
def test_a_sweep_and_a_kernel_end_well(moment, way):
    attempt("reproduce" if moment == "runs a kernel" else "sweep", moment, way, soon=SOON)


def test_an_interrupt_while_modules_are_imported_shows_no_traceback():
    with started(*TRAIN, 100_000, env={"PYTHONPROFILEIMPORTTIME": "1"}) as process:  # a line for each module
        next(line for line in process.stderr if "torch" in line)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SOON)
    assert process.returncode == 130
    assert "dynprune: interrupted" in errors
    assert "Traceback" not in errors


def test_a_single_run_that_is_interrupted_is_named_and_keeps_its_checkpoint(tmp_path):
    with started(*TRAIN, 100_000, "--results", tmp_path) as process:
        assert wait_until(lambda: list(tmp_path.glob("train/.running/*.pt")), SOON)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SOON)
    assert process.returncode == 143
    last = errors.splitlines()[-1]
    assert last.startswith("dynprune: interrupted, ucb-0-seed0-")
    assert last.endswith("under way; the same command resumes from the last checkpoint")
    assert list(tmp_path.glob("train/.running/*.pt"))


def test_whoever_reads_the_output_may_stop_reading():
    reader, writer = os.pipe()
    os.close(reader)
    with started("sweep", "smoke", "--dry-run", stdout=writer) as process:
        os.close(writer)
        _, errors = process.communicate(timeout=SOON)
    assert (process.returncode, errors) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_an_output_that_is_full_is_told_in_a_line():
    with Path("/dev/full").open("wb") as full, started("sweep", "smoke", "--dry-run", stdout=full) as process:
        _, errors = process.communicate(timeout=SOON)
    assert process.returncode == 1
    assert errors == "dynprune: the output cannot be read or written: No space left on device\n"


def test_a_run_needs_no_output_at_all(tmp_path):
    silent = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh"]
    with started(*TRAIN, 2, "--results", tmp_path, before=silent) as process:
        assert process.wait(timeout=SOON) == 0
    assert len(Store(tmp_path / "train").records()) == 1
