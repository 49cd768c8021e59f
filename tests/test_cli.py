import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from dynprune_lib.cli import app
from dynprune_lib.experiments.profile import Profile, load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.report import notebooks

TRAIN = ["train", "--dataset", "digits", "--model", "tiny", "--batch-size", "32", "--sampler", "ucb"]
SWEEP = ["sweep", "smoke", "--experiment", "quickstart"]
ON_SLURM = ["--cluster", "slurm", "--minutes", "9"]
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
    (path,) = (tmp_path / "train").glob("*.json")
    assert path.read_text().count("\n") < 80  # people can read it


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*TRAIN, "--set", "k=1"], "unknown setting of ucb 'k': there are period, warm_up, anneal_from, rescale, "),
        ([*TRAIN, "--set", "c"], "'c' is not a setting: write name=value"),
        ([*TRAIN, "--set", "c=: :"], "c is ': :': it must be a number in [0, 1e38]"),
        (["train", "--data-dir", "~nobody-of-this-name/x"], "write the path without ~"),
        ([*SWEEP, "--devices", "0;1"], "devices is '0;1': list numbers of GPUs, each once, as in --devices 0,1"),
        ([*SWEEP, "--devices", "²"], "devices is '²'"),
        ([*SWEEP, "--gpus", "0"], "--gpus only works with --cluster"),
        ([*SWEEP, *ON_SLURM, "--devices", "0"], "--devices only works without --cluster"),
        (["reproduce", "--minutes", "9"], "--minutes only works with --cluster"),
        ([*SWEEP, "--cluster", "slurm"], "--cluster needs the time limit of each job"),
        (["reproduce", "-p", "profil=smoke"], "no notebook has the parameter profil: choose from"),
        (["reproduce", "-p", "seeds=0"], "the parameter seeds is 0: it must be a list of integers, such as [0, 1]"),
        (["reproduce", "-p", "train=5"], "the parameter train is 5: it must be true or false"),
        (["reproduce", "-p", "dataset=5"], "the parameter dataset is 5: it must be text"),
        ([*JOBS, "-p", "dataset=cifar100"], "--cluster does not use the parameter dataset"),
        (["data", "cifar10", "--data-dir", "/nowhere"], "dynprune data cifar10 --download"),
        ([*SWEEP, "--minutes", "0"], "4 runs are missing (the time is up): the same command resumes"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(tmp_path, words, message):
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
    assert "digits is complete\n1,437 training and 360 test images, 10 classes" in done.stdout
    done = call("data", "diabetes")
    assert "diabetes is complete\n320 training and 122 test samples, a regression\n10, 0 MiB" in done.stdout


def test_a_dry_run_and_the_status_show_what_is_missing_or_failed_and_train_nothing(tmp_path):
    lines = call(*SWEEP, "--dry-run", "--results", tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["missing"] * 4
    assert "0 of 4 runs of smoke" in lines[-1]
    assert list(tmp_path.iterdir()) == []
    spec, other = load_profile("smoke").runs("quickstart", [0])
    Store(tmp_path / "smoke").save_failure(spec, f"{spec.name}: no memory")
    lines = call("status", *SWEEP[1:], "--seed", "0", "--results", tmp_path).stdout.splitlines()
    assert lines[:2] == [f"failed   {spec.name}: no memory", f"missing  {other.name}"]
    assert lines[2:] == ["smoke: 0 made, 1 failed, 1 missing"]


@pytest.mark.slow
def test_jobs_of_a_cluster_make_what_is_missing_then_notebooks_are_executed(tmp_path, monkeypatch):
    specs = load_profile("smoke").runs("quickstart", [0])
    monkeypatch.setattr(Profile, "runs", lambda *_, **__: specs)
    executed = []
    monkeypatch.setattr(notebooks, "reproduce_notebooks", lambda *given: executed.append(given))
    done = call(*JOBS, "--jobs", "2", "-p", "seeds=[0]", "--results", tmp_path)
    assert done.exit_code == 0, done.output
    assert "submitted 2 jobs (debug)" in done.stdout
    assert executed == [("smoke", {"seeds": [0]}, None, tmp_path, 1, (), None)]
    assert len(Store(tmp_path / "smoke").records()) == 2
    again = call("sweep", "smoke", *JOBS[1:], "--results", tmp_path)
    assert "no run of smoke is missing" in again.stdout


def test_notebooks_are_chosen_by_options(monkeypatch):
    executed = []
    monkeypatch.setattr(notebooks, "reproduce_notebooks", lambda *given: executed.append(given))
    assert call("reproduce", "--only", "03", "--only", "05", "--from", "04").exit_code == 0
    assert executed == [("smoke", {}, None, None, 1, ["03", "05"], "04")]


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nbformat", None)
    monkeypatch.delitem(sys.modules, "dynprune_lib.report.notebooks", raising=False)
    done = call("render")
    assert done.exit_code == 1
    assert done.stderr == "dynprune: nbformat is not installed: pip install -e '.[notebooks]' in the checkout\n"
