import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from dynprune_lib.cli import app
from dynprune_lib.experiments.profile import Profile, load_profile
from dynprune_lib.experiments.store import Store
from tests.helpers import ROOT, hear_sigint, results

TRAIN = ["train", "--dataset", "digits", "--model", "tiny", "--batch-size", "32", "--sampler", "ucb"]
JOBS = ["reproduce", "--cluster", "debug", "--minutes", "30"]


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_train_prints_and_keeps_the_result(tmp_path):
    command = [*TRAIN, "--prune-rate", "0.5", "--epochs", "2", "--set", "c=2e0", "--results", tmp_path]
    done = call(*command)
    assert done.exit_code == 0, done.output
    (record,) = Store(tmp_path / "train").records()
    assert f"test accuracy {record.test_accuracy:.2%} after the last of 2 epochs" in done.stdout
    assert "1,408 sample passes" in done.stdout
    assert record.spec.settings["c"] == 2
    assert call(*command).stdout == done.stdout  # read, not made again


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--sampler", "best"], "unknown sampler 'best': there are epsilon-greedy, ucb"),
        (
            [*TRAIN, "--set", "k=1"],
            "unknown setting of ucb 'k': there are period, warm_up, anneal_from, rescale, alpha, from_zero, ",
        ),
        ([*TRAIN, "--set", "c"], "'c' is not a setting: write name=value"),
        ([*TRAIN, "--set", "c=: :"], "'c=: :' is not a setting: the value is not YAML"),
        ([*TRAIN, "--set", "c=abc"], "c is 'abc'"),
        ([*TRAIN, "--learning-rate", "inf"], "learning_rate is inf"),
        (["train", "--data-dir", "~nobody-of-this-name/x"], "write the path without ~"),
        ([*TRAIN, "--prune-rate", "1.5"], "prune_rate is 1.5: it must be a number in [0, 1)"),
        (["train", "--dataset", "imagenet"], "unknown data set 'imagenet'"),
        (["train", "--data-dir", "/nowhere"], "/nowhere/cifar-10-batches-py/data_batch_1 is missing"),
        (["sweep", "big"], "unknown profile 'big': there are smoke, laptop, desktop, resnet18"),
        (["sweep", "smoke", "--experiment", "x"], "unknown experiment of profile smoke 'x'"),
        (
            ["sweep", "smoke", "--devices", "0;1"],
            "devices is '0;1': list numbers of GPUs, each once, as in --devices 0,1",
        ),
        (["sweep", "smoke", "--devices", "²"], "devices is '²'"),
        (["sweep", "smoke", "--devices", "99"], "device 99 is not visible to this process"),
        (["sweep", "smoke", "--gpus", "0"], "--gpus only works with --cluster"),
        (
            ["sweep", "smoke", "--cluster", "slurm", "--minutes", "9", "--devices", "0"],
            "--devices only works without --cluster",
        ),
        (["reproduce", "--minutes", "9"], "--minutes only works with --cluster"),
        (["sweep", "smoke", "--cluster", "slurm"], "--cluster needs the time limit of each job"),
        (["sweep", "smoke", "--cluster", "moon", "--minutes", "9"], "unknown cluster 'moon': there are slurm, local"),
        (["status", "smoke", "--experiment", "x"], "unknown experiment of profile smoke 'x'"),
        (["reproduce", "--profile", "big"], "unknown profile 'big'"),
        (["reproduce", "-p", "profil=smoke"], "no notebook has the parameter profil: choose from"),
        (["reproduce", "-p", "seeds=0"], "the parameter seeds is 0: it must be a list of integers, such as [0, 1]"),
        (["reproduce", "-p", "dataset=5"], "the parameter dataset is 5: it must be text"),
        ([*JOBS, "--only", "99"], "no notebook has the number '99'"),
        ([*JOBS, "-p", "dataset=cifar100"], "--cluster does not use the parameter dataset"),
        (["data", "cifar10", "--data-dir", "/nowhere"], "dynprune data cifar10 --download"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(tmp_path, words, message):
    if words[0] == "reproduce":
        pytest.importorskip("nbformat", reason="the notebooks' packages are not installed")
    done = call(*words, *([] if words[0] == "data" else ["--results", tmp_path]))
    assert done.exit_code == 1
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert len(done.stderr.strip().splitlines()[-1]) < 600


def test_a_run_can_have_the_recipe_of_a_profile_and_any_field(tmp_path):
    words = ["train", "--profile", "smoke", "--sampler", "ucb", "--prune-rate", "0.5", "--epochs", "2", "--set", "c=2"]
    words += ["--set", "label_smoothing=0.1", "--set", "flip=alternating"]
    assert not call(*words, "--results", tmp_path).exit_code
    (record,) = Store(tmp_path / "train").records()
    spec = load_profile("smoke").runs("quickstart", [0])[1]
    changed = {"epochs": 2, "label_smoothing": 0.1, "flip": "alternating", "settings": spec.settings | {"c": 2.0}}
    assert record.spec == replace(spec, **changed)


def test_data_says_what_is_there():
    done = call("data", "digits")
    assert "digits is complete" in done.stdout
    assert "1,437 training and 360 test images, 10 classes" in done.stdout
    done = call("data", "diabetes")
    assert "diabetes is complete\n320 training and 122 test samples, a regression\n10, 0 MiB" in done.stdout


def test_a_dry_run_lists_and_trains_nothing(tmp_path):
    done = call("sweep", "smoke", "--experiment", "quickstart", "--dry-run", "--results", tmp_path)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["missing"] * 4
    assert "0 of 4 runs of smoke" in lines[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_from_a_plain_checkout_is_interrupted_and_goes_on(tmp_path, number):
    def start(results):
        command = [sys.executable, "-m", "dynprune_lib", *TRAIN, "--epochs", "25", "--results", str(results)]
        options = {"env": os.environ | {"OMP_NUM_THREADS": "1"}, "preexec_fn": hear_sigint}
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)

    interrupted = start(tmp_path / "a")
    checkpoints = tmp_path / "a" / "train" / ".running"
    while interrupted.poll() is None and not list(checkpoints.glob("*.pt")):
        time.sleep(0.01)
    interrupted.send_signal(number)
    _, errors = interrupted.communicate(timeout=100)
    assert interrupted.returncode == 128 + number
    assert "interrupted, ucb-0-seed0-" in errors
    assert "under way; the same command resumes from the last checkpoint" in errors
    assert "Traceback" not in errors
    for again in (start(tmp_path / "a"), start(tmp_path / "b")):
        _, errors = again.communicate(timeout=300)
        assert again.returncode == 0, errors
    (resumed,), (whole,) = (Store(tmp_path / name / "train").records() for name in "ab")
    assert results(resumed) == results(whole)


def test_a_sweep_without_all_that_was_asked_for_is_no_success(tmp_path):
    done = call("sweep", "smoke", "--experiment", "quickstart", "--minutes", "0", "--results", tmp_path)
    assert done.exit_code == 1
    assert "0 of 4 runs of smoke are in" in done.stdout
    assert "4 runs are missing (the time is up): the same command resumes" in done.stderr


def test_jobs_of_a_cluster_make_what_is_missing(tmp_path):
    pytest.importorskip("submitit", reason="the extra cluster is not installed")
    which = ["smoke", "--experiment", "quickstart", "--seed", "0", "--results", tmp_path]
    assert call("status", *which).stdout.splitlines()[-1] == "smoke: 0 made, 0 failed, 2 missing"
    done = call("sweep", *which, "--cluster", "debug", "--minutes", "30")
    assert done.exit_code == 0, done.output
    assert "submitted 1 jobs (debug)" in done.stdout
    assert call("status", *which).stdout.splitlines()[-1] == "smoke: 2 made, 0 failed, 0 missing"
    assert "no run of smoke is missing" in call("sweep", *which, "--cluster", "debug", "--minutes", "30").stdout


def test_notebooks_are_executed_when_jobs_have_made_the_runs(tmp_path, monkeypatch):
    notebooks = pytest.importorskip("dynprune_lib.report.notebooks", reason="the notebooks' packages are not installed")
    pytest.importorskip("submitit", reason="the extra cluster is not installed")
    made = load_profile("smoke").runs("quickstart", [0])
    monkeypatch.setattr(Profile, "runs", lambda *_, **__: made)
    store = Store(tmp_path / "smoke")
    executed = []
    monkeypatch.setattr(notebooks, "reproduce_notebooks", lambda *given: executed.append((len(store.records()), given)))
    options = ["--cluster", "debug", "--minutes", "30", "--jobs", "2", "-p", "seeds=[0]", "--results", tmp_path]
    done = call("reproduce", *options)
    assert done.exit_code == 0, done.output
    assert executed == [(len(made), ("smoke", {"seeds": [0]}, None, tmp_path, 1, (), None))]


def test_notebooks_are_chosen_by_options(monkeypatch):
    notebooks = pytest.importorskip("dynprune_lib.report.notebooks", reason="the notebooks' packages are not installed")
    executed = []
    monkeypatch.setattr(notebooks, "reproduce_notebooks", lambda *given: executed.append(given))
    assert call("reproduce", "--only", "03", "--only", "05", "--from", "04").exit_code == 0
    assert executed == [("smoke", {}, None, None, 1, ["03", "05"], "04")]


def test_status_shows_what_is_missing_and_what_failed(tmp_path):
    spec, other = load_profile("smoke").runs("quickstart", [0])
    Store(tmp_path / "smoke").save_failure(spec, f"{spec.name}: no memory")
    done = call("status", "smoke", "--experiment", "quickstart", "--seed", "0", "--results", tmp_path)
    assert done.stdout.splitlines()[:2] == [f"failed   {spec.name}: no memory", f"missing  {other.name}"]


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nbformat", None)
    monkeypatch.delitem(sys.modules, "dynprune_lib.report.notebooks", raising=False)
    done = call("render")
    assert done.exit_code == 1
    assert done.stderr == "dynprune: nbformat is not installed: pip install -e '.[notebooks]' in the checkout\n"


def test_a_record_reads_well(tmp_path):
    call(*TRAIN, "--epochs", "2", "--results", tmp_path)
    (path,) = (tmp_path / "train").glob("*.json")
    content = json.loads(path.read_text())
    assert content["spec"]["dataset"] == "digits"
    assert len(content["epochs"]["test_accuracy"]) == 2
    assert path.read_text().count("\n") < 80
