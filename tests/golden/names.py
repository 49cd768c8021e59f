"""The names of all planned runs, and the content of all committed records."""

import hashlib
import subprocess

from dynprune_lib.experiments.profile import PROFILES, RECORDED, load_profile
from dynprune_lib.experiments.records import RunRecord
from tests.helpers import ROOT


def run_names():
    """Return one line per run: size, experiment, name."""
    return sorted(
        f"{size} {experiment} {spec.name}"
        for size in PROFILES
        for experiment in load_profile(size).experiments
        for spec in load_profile(size).runs(experiment)
    )


def record_lines():
    """Return one line per committed file of results: its hash, its name."""
    listed = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [record_line(name) for name in sorted(listed.stdout.splitlines())]


def record_line(name):
    """Return the hash of a file and its name; that there is no such file is another line, too."""
    path = ROOT / name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else "is missing"
    return f"{digest} {name}"


def misnamed_records():
    """Return the names of the records whose spec has another name."""
    return [
        path.stem
        for size in RECORDED
        for path in (ROOT / "results" / size).glob("*.json")
        if RunRecord.from_json(path.read_text()).spec.name != path.stem
    ]
