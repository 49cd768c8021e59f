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
from pathlib import Path

import psutil

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from tests.helpers import ROOT, environment, results, wait_until

SOON = 5.0  # seconds in which nothing is left after a signal
LONG = 300.0  # seconds in which a command ends by itself, on a loaded machine
COMMANDS = {  # notebook 01 reads records
    "sweep": ["sweep", "smoke", "--experiment", "quickstart", "--jobs", "2"],
    "reproduce": ["reproduce", "--profile", "laptop", "--only", "01"],
    "render": ["render", "--only", "01"],
}
WAYS = {  # the signal, whom it goes to, and what a shell is to say of the exit code
    "Ctrl-C": (signal.SIGINT, "group", 130),
    "ignored Ctrl-C": (signal.SIGINT, "group", 0),
    "SIGTERM": (signal.SIGTERM, "command", 143),
    "SIGTERM to the group": (signal.SIGTERM, "group", 143),
    "SIGKILL": (signal.SIGKILL, "command", 137),
    "SIGKILL of a worker": (signal.SIGKILL, "worker", 0),
}
CASES = [  # when a command "starts", in its first three seconds, "trains" or "runs a kernel"
    *(("sweep", moment, way) for moment in ("starts", "trains") for way in WAYS),
    *((command, "runs a kernel", way) for command in ("reproduce", "render") for way in WAYS if WAYS[way][-1]),
]
NAMED = {"starts": "", "trains": "-seed", "runs a kernel": ".ipynb under way; --from 01"}  # in an interrupt's message


class WentWrong(Exception):
    """What went wrong in a trial."""


@contextlib.contextmanager
def started(*words, before=(), env=None, sigint=signal.SIG_DFL, **options):
    """Run a command in a session of its own; nothing that comes from it outlives the block.

    SIGINT is heard, also where a background job of a shell has passed on to its children that it is ignored.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT} | options
    options |= {"start_new_session": True, "preexec_fn": lambda: signal.signal(signal.SIGINT, sigint)}
    mark = uuid.uuid4().hex  # in the environment of all its processes
    command = [*before, sys.executable, "-m", "dynprune_lib", *map(str, words)]
    process = subprocess.Popen(command, env=environment(TRIAL=mark, **env or {}), **options)
    process.mark = mark
    try:
        yield process
    finally:
        for each in family(process):
            each.kill()
        process.wait()


def family(process, word=""):
    """Return all processes that come from a command, in whatever session, or those with a word in theirs."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_mine = each.environ().get("TRIAL") == process.mark and each.status() != psutil.STATUS_ZOMBIE
            if is_mine and word in " ".join(each.cmdline()):
                found.append(each)
    return found


def send(process, way):
    """Send the signal; do nothing where its receiver has ended already."""
    number, receiver, _ = WAYS[way]
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        if receiver == "worker":
            for worker in family(process, "spawn_main")[:1]:
                worker.send_signal(number)
        else:
            (os.killpg if receiver == "group" else os.kill)(process.pid, number)  # a terminal's goes to the group


def check_end(process, was_over, named, expected, soon):
    """Look at how a command ends that was sent a signal."""
    patience = soon if expected else LONG
    try:
        output, errors = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        raise WentWrong(f"{len(family(process))} processes after {patience:.0f} s") from None
    if not wait_until(lambda: not family(process), patience):
        raise WentWrong(f"left after {patience:.0f} s: {family(process)}")
    if "Traceback" in errors or "Error" in errors:
        raise WentWrong(f"shows {errors}")
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    if code != expected and not (was_over and code == 0):
        raise WentWrong(f"exit code {code}, not {expected}: {output}{errors}")
    if process.returncode in (130, 143):
        lines = [line for line in errors.splitlines() if line.startswith("dynprune: ")]
        if len(lines) != 1 or "interrupted" not in lines[0]:
            raise WentWrong(f"does not say in one line that it was interrupted: {errors}")
        if named not in lines[0]:
            raise WentWrong(f"does not name what is under way, {named}: {lines[0]}")


def attempt(command, moment, way, soon=SOON):
    """Try a case once; WentWrong if it does not end well within `soon` seconds, or does not complete when repeated."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "results"
        folder.mkdir()
        checkout = ROOT if command == "sweep" else copy_of_the_checkout(folder.parent)
        start = functools.partial(
            started,
            *COMMANDS[command],
            *(["--results", folder] if command == "sweep" else []),
            cwd=checkout,
            env={"PYTHONPATH": str(checkout), "DYNPRUNE_CACHE": str(folder / "cache")},
            sigint=signal.SIG_IGN if way == "ignored Ctrl-C" else signal.SIG_DFL,
        )
        with start() as process:
            is_due = {
                "trains": lambda: any(folder.glob("smoke/.running/*.lock")),
                "starts": lambda: way != "SIGKILL of a worker" or family(process, "spawn_main"),
                "runs a kernel": lambda: family(process, "ipykernel_launcher"),
            }[moment]
            wait_until(lambda: is_due() or process.poll() is not None, LONG)
            time.sleep(random.uniform(0, 0.3 if moment == "trains" else 3))
            was_over, named = process.poll() is not None, NAMED[moment] if is_due() else ""
            send(process, way)
            check_end(process, was_over, named, WAYS[way][-1], soon)
        with start() as again:
            _, errors = again.communicate(timeout=LONG)
            if again.returncode:
                raise WentWrong(f"the same command ends with {again.returncode}: {errors}")
        for spec in load_profile("smoke").runs("quickstart") if command == "sweep" else ():
            if results(Store(folder / "smoke").load(spec)) != results(uninterrupted().load(spec)):
                raise WentWrong(f"{spec.name} is another than that of a sweep without interruption")


@functools.cache
def uninterrupted():
    """Return a store with the runs of a sweep that nothing has interrupted."""
    folder = tempfile.mkdtemp()
    with started(*COMMANDS["sweep"], "--results", folder, env={"DYNPRUNE_CACHE": f"{folder}/cache"}) as process:
        process.communicate()
    return Store(Path(folder) / "smoke")


def copy_of_the_checkout(folder):
    """Return a copy of what notebooks need, for commands that write into their checkout."""
    copy = folder / "checkout"
    copy.mkdir()
    for name in ("dynprune_lib", "notebooks", "figures", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    (copy / "results").symlink_to(ROOT / "results")
    return copy


def main(times, words):
    """Try cases; return how many trials went wrong."""
    wrong = 0
    for command, moment, way in CASES:
        name, faults = f"{way} while {command} {moment}", []
        if words and not any(word in name for word in words):
            continue
        for _ in range(times):
            try:
                attempt(command, moment, way)
            except WentWrong as fault:
                faults.append(str(fault))
        print(f"{name:55} {times - len(faults)} of {times}", *faults, sep="\n    ", flush=True)
        wrong += len(faults)
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), sys.argv[2:])))
