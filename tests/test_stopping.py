"""Signals, killed processes and closed outputs: nothing goes on unseen, nothing is lost, no traceback."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dynprune_lib.experiments.store import Store
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


def wait_for(condition, process):
    end = time.monotonic() + 4 * SOON
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def is_training(results):
    return lambda: list(Path(results).rglob("*.pt"))


def offspring(process):
    return psutil.Process(process.pid).children(recursive=True)


def assert_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=SOON)
    assert alive == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_a_line(start, tmp_path, number):
    process = start("train", *LONG, "--results", tmp_path)
    wait_for(is_training(tmp_path), process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=SOON)
    assert process.returncode == 128 + number
    assert "interrupted; the same command resumes from the last checkpoint" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_a_sweep_ends_its_workers_too(start, tmp_path, number):
    sweep = ["sweep", "smoke", "--experiment", "accuracy_vs_pruning_rate", "--jobs", "2", "--results", tmp_path]
    process = start(*sweep)
    wait_for(lambda: len(list(tmp_path.rglob("*.json"))) >= 2, process)
    workers = offspring(process)
    assert len(workers) >= 2
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    assert_gone(workers)
    _, errors = process.communicate(timeout=SOON)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in errors
    store = Store(tmp_path / "smoke")
    made = len(store.records())  # each of them is whole
    again = start("sweep", "smoke", "--experiment", "quickstart", "--seed", "0", "--results", tmp_path)
    assert again.wait(4 * SOON) == 0
    assert len(store.records()) >= made


LONG_EPOCHS = """
from dataclasses import replace
from pathlib import Path
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
spec = RunSpec(dataset="digits", model="resnet18", batch_size=2)
sweep([spec, replace(spec, seed=1)], Plan(Store(Path({folder!r})), jobs=2, threads=1))
"""


def test_workers_do_not_wait_for_the_end_of_an_epoch_when_their_sweep_is_killed(tmp_path):
    script = [sys.executable, "-c", LONG_EPOCHS.format(folder=str(tmp_path))]
    process = subprocess.Popen(script, cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.rglob("*.lock"))) == 2, process)
    workers = offspring(process)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=15)  # an epoch takes longer
    for worker in alive:
        worker.kill()
    assert alive == []


PRE_EMPTED = """
from dataclasses import replace
from pathlib import Path
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, make_missing
spec = RunSpec(dataset="digits", model="tiny", batch_size=32, epochs=100_000)
if __name__ == "__main__":
    plan = Plan(Store(Path({folder!r})), jobs=2, threads=1, grace=60)
    print(make_missing([spec, replace(spec, seed=1)], plan))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_pre_empted_sweep_ends_after_the_epoch_under_way_of_each_worker(tmp_path, number):
    (tmp_path / "pre_empted.py").write_text(PRE_EMPTED.format(folder=str(tmp_path / "store")))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    text = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, str(tmp_path / "pre_empted.py")], env=environment, **text)
    wait_for(lambda: len(list(tmp_path.rglob("*.pt"))) == 2, process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=2 * SOON)
    assert output == "Outcome(failures=[], stopped=True)\n", errors
    assert list(tmp_path.rglob("*.lock")) == []


WORKERS_DIE = ["sweep", "smoke", "--experiment", "where_accuracy_is_lost", "--seed", "0", "--jobs", "2", "--results"]


def workers_of(process):
    return [each for each in offspring(process) if "spawn_main" in " ".join(each.cmdline())]


def test_the_run_of_a_worker_that_dies_is_made_by_another(start, tmp_path):
    process = start(*WORKERS_DIE, tmp_path)
    wait_for(lambda: len(list(tmp_path.rglob("*.pt"))) == 2, process)  # both are amid a run
    workers_of(process)[0].kill()
    _, errors = process.communicate(timeout=4 * SOON)
    assert process.returncode == 0, errors
    assert "was killed by SIGKILL" in errors
    assert start(*WORKERS_DIE, tmp_path).wait(SOON) == 0


def test_workers_that_all_die_name_their_runs(start, tmp_path):
    process = start(*WORKERS_DIE, tmp_path)
    wait_for(lambda: len(list(tmp_path.rglob("*.pt"))) == 2, process)
    for worker in workers_of(process):
        worker.kill()
    _, errors = process.communicate(timeout=4 * SOON)
    assert process.returncode == 1
    assert errors.count("was killed by SIGKILL") == 2
    assert "another process, or the same sweep again, goes on from its last checkpoint" in errors
    assert start(*WORKERS_DIE, tmp_path).wait(4 * SOON) == 0


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
    with Path("/dev/full").open("w") as full:
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
