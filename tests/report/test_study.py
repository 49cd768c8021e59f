import errno
import json
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dynprune_lib.errors import StoreNotWritable, SweepError
from dynprune_lib.experiments.models import MODELS
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.report import figures, pages
from dynprune_lib.report.study import PASSES_PER_SECOND, best_records, load_study
from dynprune_lib.report.verdicts import (
    Verdict,
    load_verdicts,
    verdict_from_conditions,
    verdict_from_differences,
)
from tests.helpers import make_record, save_record
from tests.report.tables import RUNS

mpl.use("Agg")


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr("dynprune_lib.report.study.root", lambda: tmp_path)
    return load_study("quickstart", "smoke", results=tmp_path / "results", seeds=[5])


@pytest.fixture
def pictures(tmp_path):
    """A data set of the user's own: two classes of noise."""
    pixels = np.random.default_rng(0).integers(256, size=(100, 32, 32, 3), dtype=np.uint8)
    folder = tmp_path / "my pictures"
    for number, image in enumerate(pixels):
        name = folder / ("train" if number < 90 else "test") / f"class{number % 2}" / f"{number}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(name)
    return folder


def fill(tmp_path, profile, figure, seeds):
    for spec in load_profile(profile).runs(figure, seeds):
        save_record(tmp_path / profile, make_record(spec))


@pytest.mark.slow
def test_the_largest_profile_with_every_run_is_taken(tmp_path):
    assert best_records("quickstart", tmp_path) == ("smoke", [])
    fill(tmp_path, "laptop", "quickstart", [0, 1])
    profile, records = best_records("quickstart", tmp_path)
    assert (profile, len(records)) == ("laptop", 4)
    fill(tmp_path, "paper", "quickstart", [0])
    next((tmp_path / "paper").glob("ucb*.json")).unlink()
    assert best_records("quickstart", tmp_path)[0] == "laptop"  # one run of the larger one is missing
    fill(tmp_path, "paper", "quickstart", [2])
    profile, records = best_records("quickstart", tmp_path)
    assert (profile, len(records)) == ("paper", 3)
    assert load_study("quickstart", results=tmp_path).caption.endswith("n = 1 to 2")


def test_an_experiment_without_runs_in_a_profile_has_no_records(tmp_path):
    assert not load_profile("smoke").experiments["summit"].runs
    assert best_records("summit", tmp_path) == ("smoke", [])
    assert load_study("summit", results=tmp_path).records == []
    assert load_study("summit", "smoke", results=tmp_path).records == []


def test_a_profile_that_is_asked_for_is_trained(study):
    assert [(record.spec.sampler, record.spec.seed) for record in study.records] == [("full", 5), ("ucb", 5)]
    assert study.caption == "digits (8x8), tiny net, 10 epochs, CPU, n = 1"
    assert (study.epochs, study.samples_of_full_data) == (10, 14370)
    assert study.data().name == "digits"


@pytest.mark.slow
def test_nothing_is_trained_unless_a_profile_is_named_or_training_is_asked_for(tmp_path):
    where = {"results": tmp_path, "seeds": [5]}
    for asked in ({}, {"train": False}, {"profile": "smoke", "train": False}):
        with pytest.raises(SweepError) as caught:
            load_study("quickstart", **asked, **where)
        assert f"2 runs of quickstart have no record in {tmp_path}/smoke: name the profile ('smoke')" in str(
            caught.value
        )
        assert "21,555 sample passes, about 1 min on one CPU core" in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert len(load_study("quickstart", train=True, **where).records) == 2
    assert len(load_study("quickstart", **where).records) == 2  # now they are there


def test_every_model_has_a_speed():
    assert set(PASSES_PER_SECOND) == set(MODELS)


def test_another_data_set_has_folders_and_a_caption_of_its_own(pictures, tmp_path):
    name = f"folder:{pictures}"
    where = {"dataset": name, "results": tmp_path / "results", "seeds": [5]}
    study = load_study("quickstart", "smoke", **where)
    assert {record.spec.dataset for record in study.records} == {name}
    assert study.caption == f"{pictures.name}, tiny net, 10 epochs, CPU, n = 1"
    assert study.folder.name == study.store.folder.name == load_profile("smoke", name).name
    assert load_study("quickstart", **where).records == study.records


def test_a_figure_is_written_with_its_data_and_again_to_the_same_bytes(study):
    contents = []
    for _ in range(2):
        study.save(figures.plot_accuracy_vs_pruning_rate(RUNS, "title"), RUNS)
        files = sorted(study.folder.iterdir())
        assert [file.name for file in files] == ["quickstart.csv", "quickstart.pdf", "quickstart.png"]
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
    assert len(pd.read_csv(study.folder / "quickstart.csv")) == len(RUNS)


def test_a_figure_on_a_full_disk_is_the_old_one(study, monkeypatch):
    study.save(figures.plot_accuracy_vs_pruning_rate(RUNS, "title"), RUNS)
    before = {file.name: file.read_bytes() for file in study.folder.iterdir()}

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreNotWritable, match=r"cannot write .*quickstart.png: No space left"):
        study.save(figures.plot_accuracy_vs_pruning_rate(RUNS, "another title"), RUNS)
    assert {file.name: file.read_bytes() for file in study.folder.iterdir()} == before


def test_a_verdict_is_printed_and_saved(study, capsys):
    study.record_verdict("C9", "it works", "partly reproduced", "+1.0 ± 0.5 points at 50%")
    assert "C9, it works: PARTLY REPRODUCED" in capsys.readouterr().out
    (verdict,) = load_verdicts(study.folder)
    assert verdict.notebook == "00_quickstart.ipynb"
    assert (verdict.claim, verdict.verdict, verdict.provenance) == ("C9", "partly reproduced", study.caption)


def test_a_verdict_of_several_studies_names_each_once(study):
    (first, *others), device = study.records, {"device": "NVIDIA H200"}
    other = replace(study, records=[replace(first, environment=first.environment | device), *others])
    assert other.caption == "digits (8x8), tiny net, 10 epochs, NVIDIA H200 and CPU, n = 1"
    study.record_verdict("C9", "it works", "partly reproduced", "+1.0", [study, other, study])
    (verdict,) = load_verdicts(study.folder)
    assert verdict.provenance == f"{study.caption}; {other.caption}"


@pytest.mark.parametrize(
    ("mean", "ci95", "verdict"),
    [
        ([1.0, 2.0], [0.5, 1.0], "reproduced"),
        ([1.0, 2.0], [1.5, 1.0], "partly reproduced"),
        ([0.3, -2.0], [0.5, 0.1], "not reproduced"),
        ([1.0, 2.0], [0.5, float("nan")], "undecided"),
        ([], [], "undecided"),
    ],
)
def test_verdicts_from_differences(mean, ci95, verdict):
    assert verdict_from_differences(pd.DataFrame({"mean": mean, "ci95": ci95})) == verdict


def test_verdicts_from_conditions():
    assert verdict_from_conditions(pd.Series([True, True])) == "reproduced"
    assert verdict_from_conditions(pd.Series([True, False])) == "partly reproduced"
    assert verdict_from_conditions(pd.Series([False, False])) == "not reproduced"


def test_the_readme_recommends_a_method_with_its_evidence():
    columns = ["method_label", "saved", "mean", "ci95", "wins"]

    def recommended(*rows):
        return pages.recommendation(pd.DataFrame(rows, columns=columns).assign(dataset=""), "x")

    (line,) = recommended(("UCB", 0.5, 1.0, 0.5, True), ("SeTa", 0.5, -1.0, 0.5, False))
    assert (
        "**UCB**. Difference from RS2 at equal compute: +1.0 ± 0.5 points at 50% compute saved. It is the best of the 2"
        in line
    )
    table = pd.DataFrame([("UCB", 0.5, 1.0, 0.5, True)], columns=columns)
    (line,) = pages.recommendation(pd.concat([table.assign(dataset=""), table.assign(dataset="CIFAR-100")]), "x")
    assert "+1.0 ± 0.5 points at 50% compute saved; on CIFAR-100 +1.0 ± 0.5 points at 50% compute saved. It is" in line
    (line,) = recommended(("UCB", 0.5, 0.1, 0.5, False))
    assert "**RS2**. None of the 1 methods" in line
    assert not recommended(("UCB", 0.5, 1.0, float("nan"), False))


def test_the_gallery_has_every_figure_and_the_verdict_of_the_largest_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "root", lambda: tmp_path)
    for profile, verdict in (("laptop", "reproduced"), ("paper", "not reproduced")):
        folder = tmp_path / "figures" / profile
        made = {"claim": "C1", "title": "fast", "evidence": "+1", "provenance": profile, "notebook": "05_x.ipynb"}
        Verdict(verdict=verdict, **made).save(folder)
        (folder / "picture.png").touch()
    text = pages.gallery()
    assert "**Not reproduced.** +1." in text
    assert "**Reproduced.**" not in text
    assert text.index("paper/picture.png") < text.index("laptop/picture.png")
    assert json.loads((folder / "verdict_C1.json").read_text())["provenance"] == "paper"
