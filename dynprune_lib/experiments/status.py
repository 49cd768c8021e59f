"""How far the runs of a list are, from what the store has of each."""

import shutil
import subprocess
import time
from dataclasses import dataclass

from dynprune_lib.experiments.leases import read_owner
from dynprune_lib.experiments.owners import Owner
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store

STATES = ("made", "running", "failed", "missing")


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Args:
        name: of the run.
        state: one of STATES. A run that was interrupted is missing.
        detail: of a running one, where, since when and which epoch; of a failed one, why. Default: empty.
    """

    name: str
    state: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.state:8} {self.name}{self.detail and ': '}{self.detail}"


def status_of(spec: RunSpec, store: Store) -> RunStatus:
    """Return how far a run is."""
    if store.has(spec):
        return RunStatus(spec.name, "made")
    owner = read_owner(store.lease(spec))
    if owner and not owner.has_ended:
        return RunStatus(spec.name, "running", _describe(owner))
    if message := store.failure(spec):
        return RunStatus(spec.name, "failed", message.removeprefix(f"{spec.name}: "))
    return RunStatus(spec.name, "missing")


def job_name(profile: str) -> str:
    """Return the name of the jobs of a profile in the queue of a cluster.

    Example:
        >>> job_name("paper")
        'dynprune-paper'
    """
    return f"dynprune-{profile}"


def queued_jobs(profile: str) -> list[str]:
    """Return one line for each job of a profile that Slurm has of this user; none where there is no Slurm."""
    if not shutil.which("squeue"):
        return []
    command = ["squeue", "--me", "--noheader", f"--name={job_name(profile)}", "--format=job %i: %T, %M of %l, %R"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.splitlines() or done.stderr.splitlines()


def _describe(owner: Owner) -> str:
    since, renewed = (time.strftime("%Y-%m-%d %H:%M", time.localtime(when)) for when in (owner.since, owner.renewed))
    return f"{owner.note or 'begun'}, process {owner.pid} of {owner.host} since {since}, last heard of {renewed}"
