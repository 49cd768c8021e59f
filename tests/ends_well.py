"""Interrupt sweeps and the execution of notebooks in every way, at random moments: do they end well?

`python tests/ends_well.py TIMES [WORD...]` tries each case TIMES times, or those whose name has one of the words, and
prints how many went well and what went wrong in the others. `tests/test_stopping.py` tries each case once.
"""

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from tests.helpers import ROOT, hear_sigint, results

SOON = 5.0  # seconds in which nothing is left after a signal
LONG = 300.0  # seconds in which a command ends by itself, on a loaded machine
SEEDS = (0, 1)
SWEEP = ["sweep", "smoke", "--experiment", "quickstart", *(f"--seed={seed}" for seed in SEEDS), "--jobs", "2"]
NOTEBOOK = "01"  # reads records


class WentWrong(Exception):
    """What went wrong in a trial."""


@dataclass(frozen=True)
class Case:
    """A way to interrupt a command.

    Args:
        command: "sweep", "reproduce" or "render".
        moment: "starts", in its first three seconds; "trains" or "runs a kernel".
        way: one of WAYS.
    """

    command: str
    moment: str
    way: str

    def __str__(self) -> str:
        return f"{self.way} while {self.command} {self.moment}"


WAYS = {  # whom a signal goes to -> what a shell is to say of the exit code
    "Ctrl-C": 130,
    "ignored Ctrl-C": 0,
    "SIGTERM": 143,
    "SIGTERM to the group": 143,
    "SIGKILL": 137,
    "SIGKILL of a worker": 0,
}
OF_NOTEBOOKS = [way for way in WAYS if "worker" not in way and "ignored" not in way]
CASES = [
    *(Case("sweep", moment, way) for moment in ("starts", "trains") for way in WAYS),
    *(Case(command, "runs a kernel", way) for command in ("reproduce", "render") for way in OF_NOTEBOOKS),
]


class Trial:
    """A command that runs in a checkout, and all processes that come from it."""

    def __init__(self, case: Case, checkout: Path, folder: Path, soon: float) -> None:
        self.case, self.checkout, self.folder, self.soon = case, checkout, folder, soon
        self._mark = uuid.uuid4().hex  # in the environment of all its processes, whatever session they are in

    def words(self) -> list[str]:
        """Return the words of the command."""
        if self.case.command == "sweep":
            return [*SWEEP, "--results", str(self.folder)]
        if self.case.command == "render":
            return ["render", "--only", NOTEBOOK]
        return ["reproduce", "--profile", "laptop", "--only", NOTEBOOK]

    def start(self) -> subprocess.Popen:
        """Start the command in a session of its own."""
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(self.checkout),
            "DYNPRUNE_CACHE": str(self.folder / "cache"),
            "TRIAL": self._mark,
        }
        ignore = self.case.way == "ignored Ctrl-C"
        return subprocess.Popen(
            [sys.executable, "-m", "dynprune_lib", *self.words()],
            cwd=self.checkout,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignore else hear_sigint,
        )

    def processes(self) -> list[psutil.Process]:
        """Return all processes that come from the command."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("TRIAL") == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes of the sweep."""
        return [each for each in self.processes() if "spawn_main" in " ".join(_words_of(each))]

    def kernels(self) -> list[psutil.Process]:
        """Return the kernels of notebooks."""
        return [each for each in self.processes() if "ipykernel_launcher" in " ".join(_words_of(each))]

    def wait_for_moment(self, process: subprocess.Popen) -> None:
        """Wait until the signal is due."""
        if self.case.moment == "starts":
            if self.case.way == "SIGKILL of a worker":
                self._wait(process, self.workers)
            time.sleep(random.uniform(0, 3))
        elif self.case.moment == "trains":
            self._wait(process, lambda: list(self.folder.glob("smoke/.running/*.lock")))
            time.sleep(random.uniform(0, 0.3))
        else:
            self._wait(process, self.kernels)
            time.sleep(random.uniform(0, 3))

    def send(self, process: subprocess.Popen) -> None:
        """Send the signal; do nothing where its receiver has ended already."""
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            match self.case.way:
                case "Ctrl-C" | "ignored Ctrl-C":
                    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
                case "SIGTERM":
                    os.kill(process.pid, signal.SIGTERM)
                case "SIGTERM to the group":
                    os.killpg(process.pid, signal.SIGTERM)
                case "SIGKILL":
                    os.kill(process.pid, signal.SIGKILL)
                case "SIGKILL of a worker":
                    for worker in self.workers()[:1]:
                        worker.kill()

    def run(self) -> None:
        """Interrupt the command and look at how it ends.

        Raises:
            WentWrong: it did not end well.
        """
        process = self.start()
        try:
            self.wait_for_moment(process)
            was_over = process.poll() is not None
            self.send(process)
            goes_on = WAYS[self.case.way] == 0
            self._check_end(process, LONG if goes_on else self.soon, was_over)
            self._check_that_it_completes()
        finally:
            for each in self.processes():
                each.kill()
            process.wait()

    def _check_end(self, process: subprocess.Popen, patience: float, was_over: bool) -> None:
        end = time.monotonic() + patience
        try:
            output, errors = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise WentWrong(f"{len(self.processes())} processes after {patience:.0f} s") from None
        while left := self.processes():
            if time.monotonic() > end:
                raise WentWrong(f"left after {patience:.0f} s: {[' '.join(_words_of(each))[-80:] for each in left]}")
            time.sleep(0.1)
        if "Traceback" in errors or "Error" in errors:
            raise WentWrong(f"shows {errors}")
        expected = WAYS[self.case.way]
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        if code != expected and not (was_over and code == 0):
            raise WentWrong(f"exit code {code}, not {expected}: {output}{errors}")
        lines = [line for line in errors.splitlines() if line.startswith("dynprune: ")]
        if process.returncode in (130, 143) and (len(lines) != 1 or "interrupted" not in lines[0]):
            raise WentWrong(f"does not say in one line that it was interrupted: {errors}")
        if self.case.moment == "trains" and process.returncode in (130, 143) and "-seed" not in lines[0]:
            raise WentWrong(f"does not name the runs under way: {lines[0]}")

    def _check_that_it_completes(self) -> None:
        again = self.start()
        _, errors = again.communicate(timeout=LONG)
        if again.returncode:
            raise WentWrong(f"the same command ends with {again.returncode}: {errors}")
        for spec in load_profile("smoke").runs("quickstart", SEEDS) if self.case.command == "sweep" else ():
            if results(Store(self.folder / "smoke").load(spec)) != results(uninterrupted().load(spec)):
                raise WentWrong(f"{spec.name} is another than that of a sweep without interruption")

    def _wait(self, process: subprocess.Popen, condition) -> None:
        end = time.monotonic() + LONG
        while not condition() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)


def _words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


_whole: list[Store] = []


def uninterrupted() -> Store:
    """Return a store with the runs of a sweep that nothing has interrupted."""
    if not _whole:
        folder = Path(tempfile.mkdtemp())
        words = [word for word in SWEEP if "--seed" not in word]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "DYNPRUNE_CACHE": str(folder / "cache")}
        command = [sys.executable, "-m", "dynprune_lib", *words, "--results", str(folder)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        _whole.append(Store(folder / "smoke"))
    return _whole[0]


def copy_of_the_checkout(folder: Path) -> Path:
    """Return a copy of what notebooks need, for commands that write into their checkout."""
    copy = folder / "checkout"
    copy.mkdir()
    for name in ("dynprune_lib", "notebooks", "figures", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    (copy / "results").symlink_to(ROOT / "results")
    return copy


def attempt(case: Case, soon: float = SOON) -> None:
    """Try a case once.

    Args:
        case: which.
        soon: seconds in which nothing is to be left.

    Raises:
        WentWrong: it did not end well.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        checkout = ROOT if case.command == "sweep" else copy_of_the_checkout(folder)
        (folder / "results").mkdir()
        Trial(case, checkout, folder / "results", soon).run()


def main(times: int, words: list[str]) -> int:
    """Try cases; return how many trials went wrong."""
    wrong = 0
    for case in CASES:
        if words and not any(word in str(case) for word in words):
            continue
        faults = []
        for _ in itertools.repeat(None, times):
            try:
                attempt(case)
            except WentWrong as fault:
                faults.append(str(fault))
        print(f"{case!s:55} {times - len(faults)} of {times}", *faults, sep="\n    ", flush=True)
        wrong += len(faults)
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), sys.argv[2:])))
