"""Interrupt sweeps and the execution of notebooks in every way, at random moments: do they end well?

`python tests/ends_well.py TIMES [WORD...]` tries each case TIMES times, or those whose name has one of the words, and
prints how many went well and what went wrong in the others. `tests/test_stopping.py` tries some cases once.
"""

import contextlib
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from tests.helpers import ROOT, environment, hear_sigint, results

SOON = 5.0  # seconds in which nothing is left after a signal
LONG = 300.0  # seconds in which a command ends by itself, on a loaded machine
NOTEBOOK = "01"  # reads records
COMMANDS = {
    "sweep": ["sweep", "smoke", "--experiment", "quickstart", "--jobs", "2"],
    "reproduce": ["reproduce", "--profile", "laptop", "--only", NOTEBOOK],
    "render": ["render", "--only", NOTEBOOK],
}
WAYS = {  # whom a signal goes to -> what a shell is to say of the exit code
    "Ctrl-C": 130,
    "ignored Ctrl-C": 0,
    "SIGTERM": 143,
    "SIGTERM to the group": 143,
    "SIGKILL": 137,
    "SIGKILL of a worker": 0,
}


class WentWrong(Exception):
    """What went wrong in a trial."""


@dataclass(frozen=True)
class Case:
    """A way to interrupt a command when it "starts", in its first three seconds, "trains" or "runs a kernel"."""

    command: str
    moment: str
    way: str

    def __str__(self) -> str:
        return f"{self.way} while {self.command} {self.moment}"


CASES = [
    *(Case("sweep", moment, way) for moment in ("starts", "trains") for way in WAYS),
    *(Case(command, "runs a kernel", way) for command in ("reproduce", "render") for way in WAYS if WAYS[way]),
]


@dataclass
class Trial:
    """A command that runs in a checkout, and all processes that come from it; nothing is left after `soon` seconds."""

    case: Case
    checkout: Path
    folder: Path
    soon: float
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)  # in the environment of all its processes

    def start(self) -> subprocess.Popen:
        """Start the command in a session of its own."""
        folder = ["--results", str(self.folder)] if self.case.command == "sweep" else []
        ignore = self.case.way == "ignored Ctrl-C"
        cache = str(self.folder / "cache")
        return subprocess.Popen(
            [sys.executable, "-m", "dynprune_lib", *COMMANDS[self.case.command], *folder],
            cwd=self.checkout,
            env=environment(PYTHONPATH=str(self.checkout), DYNPRUNE_CACHE=cache, TRIAL=self.mark),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignore else hear_sigint,
        )

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Return all processes that come from the command, in whatever session, or those with a word in theirs."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_mine = process.environ().get("TRIAL") == self.mark and process.status() != psutil.STATUS_ZOMBIE
                if is_mine and word in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def wait_for_moment(self, process: subprocess.Popen) -> None:
        """Wait until the signal is due."""

        def is_due() -> bool:
            if self.case.moment == "trains":
                return any(self.folder.glob("smoke/.running/*.lock"))
            if self.case.moment == "starts":
                return self.case.way != "SIGKILL of a worker" or bool(self.processes("spawn_main"))
            return bool(self.processes("ipykernel_launcher"))

        end = time.monotonic() + LONG
        while not is_due() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 0.3 if self.case.moment == "trains" else 3))

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
                    for worker in self.processes("spawn_main")[:1]:
                        worker.kill()

    def run(self) -> None:
        """Interrupt the command and look at how it ends; WentWrong if that is not well."""
        process = self.start()
        try:
            self.wait_for_moment(process)
            was_over = process.poll() is not None
            self.send(process)
            self._check_end(process, was_over)
            self._check_that_it_completes()
        finally:
            for each in self.processes():
                each.kill()
            process.wait()

    def _check_end(self, process: subprocess.Popen, was_over: bool) -> None:
        expected = WAYS[self.case.way]
        patience = self.soon if expected else LONG
        end = time.monotonic() + patience
        try:
            output, errors = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise WentWrong(f"{len(self.processes())} processes after {patience:.0f} s") from None
        while left := self.processes():
            if time.monotonic() > end:
                raise WentWrong(f"left after {patience:.0f} s: {left}")
            time.sleep(0.1)
        if "Traceback" in errors or "Error" in errors:
            raise WentWrong(f"shows {errors}")
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        if code != expected and not (was_over and code == 0):
            raise WentWrong(f"exit code {code}, not {expected}: {output}{errors}")
        if process.returncode in (130, 143):
            lines = [line for line in errors.splitlines() if line.startswith("dynprune: ")]
            if len(lines) != 1 or "interrupted" not in lines[0]:
                raise WentWrong(f"does not say in one line that it was interrupted: {errors}")
            if self.case.moment == "trains" and "-seed" not in lines[0]:
                raise WentWrong(f"does not name the runs under way: {lines[0]}")

    def _check_that_it_completes(self) -> None:
        again = self.start()
        _, errors = again.communicate(timeout=LONG)
        if again.returncode:
            raise WentWrong(f"the same command ends with {again.returncode}: {errors}")
        for spec in load_profile("smoke").runs("quickstart") if self.case.command == "sweep" else ():
            if results(Store(self.folder / "smoke").load(spec)) != results(uninterrupted().load(spec)):
                raise WentWrong(f"{spec.name} is another than that of a sweep without interruption")


@functools.cache
def uninterrupted() -> Store:
    """Return a store with the runs of a sweep that nothing has interrupted."""
    folder = tempfile.mkdtemp()
    command = [sys.executable, "-m", "dynprune_lib", *COMMANDS["sweep"], "--results", folder]
    variables = environment(DYNPRUNE_CACHE=f"{folder}/cache")
    subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True)
    return Store(Path(folder) / "smoke")


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
    """Try a case once; WentWrong if it does not end well within `soon` seconds."""
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
        for _ in range(times):
            try:
                attempt(case)
            except WentWrong as fault:
                faults.append(str(fault))
        print(f"{case!s:55} {times - len(faults)} of {times}", *faults, sep="\n    ", flush=True)
        wrong += len(faults)
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), sys.argv[2:])))
