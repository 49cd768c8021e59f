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
from dynprune_lib.report.study import PASSES_PER_SECOND, best_records, load_study, smaller_studies
from dynprune_lib.report.verdicts import (
    Verdict,
    findings,
    load_verdicts,
    sides_at,
    verdict_from_sides,
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
    fill(tmp_path, "desktop", "quickstart", [0])
    next((tmp_path / "desktop").glob("ucb*.json")).unlink()
    assert best_records("quickstart", tmp_path)[0] == "laptop"  # one run of the larger one is missing
    fill(tmp_path, "desktop", "quickstart", [2])
    profile, records = best_records("quickstart", tmp_path)
    assert (profile, len(records)) == ("desktop", 3)
    assert best_records("quickstart", tmp_path, first="laptop")[0] == "laptop"
    assert best_records("quickstart", tmp_path, first="resnet18")[0] == "desktop"  # it has no records
    small = load_study("quickstart", "laptop", results=tmp_path, seeds=[0], train=False)
    assert load_study("quickstart", results=tmp_path, beside=small).profile.name == "laptop"
    largest = load_study("quickstart", results=tmp_path)
    assert [(one.profile.name, len(one.records)) for one in smaller_studies(largest)] == [("laptop", 4)]
    assert smaller_studies(small) == []
    assert load_study("quickstart", results=tmp_path).caption.endswith("n = 1 to 2")


def test_an_experiment_without_runs_in_a_profile_has_no_records(tmp_path):
    assert not load_profile("smoke").experiments["summit"].runs
    assert best_records("summit", tmp_path) == ("smoke", [])
    assert load_study("summit", results=tmp_path).records == []
    assert load_study("summit", "smoke", results=tmp_path).records == []


def test_a_profile_that_is_asked_for_is_trained(study):
    assert [(record.spec.sampler, record.spec.seed) for record in study.records] == [("full", 5), ("ucb", 5)]
    assert study.caption == "digits (8x8), tiny net, 10 epochs, CPU, n = 1"
    assert (study.epochs, study.samples_of_full_data, study.size) == (10, 14370, "tiny net, 10 epochs")
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


def test_a_caption_names_all_data_sets(tmp_path):
    fill(tmp_path, "desktop", "beyond_images", [0])
    study = load_study("beyond_images", results=tmp_path)
    assert study.title == "breast cancer, Hastie 10.2, diabetes, Friedman 1"
    assert study.caption == f"{study.title}, multilayer perceptron, 8 epochs, CPU, n = 1"


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
    study.record_verdict("C9", "it works", "supported where 50% is saved", "+1.0 ± 0.5 points at 50%")
    assert "C9, it works: SUPPORTED where 50% is saved" in capsys.readouterr().out
    (verdict,) = load_verdicts(study.folder)
    assert verdict.notebook == "00_quickstart.ipynb"
    assert (verdict.claim, verdict.verdict, verdict.provenance) == ("C9", "supported where 50% is saved", study.caption)


def test_only_the_words_of_a_verdict_are_in_capitals():
    verdict = "supported for UCB; contradicted on CIFAR-100; not shown on CIFAR-10, where n = 1"
    printed = str(Verdict(claim="C9", title="it works", verdict=verdict, evidence="", provenance="", notebook=""))
    assert printed.startswith("C9, it works: SUPPORTED for UCB; CONTRADICTED on CIFAR-100; NOT SHOWN on CIFAR-10,")


def test_a_caption_says_that_precisions_are_mixed(study):
    first, *others = study.records
    assert "bfloat16" not in study.caption
    mixed = replace(first, environment=first.environment | {"precision": "bfloat16"})
    caption = replace(study, records=[mixed, *others]).caption
    assert caption == "digits (8x8), tiny net, 10 epochs, CPU, bfloat16 and float32, n = 1"


def test_a_verdict_of_several_studies_names_each_once(study):
    (first, *others), device = study.records, {"device": "NVIDIA H200"}
    other = replace(study, records=[replace(first, environment=first.environment | device), *others])
    assert other.caption == "digits (8x8), tiny net, 10 epochs, NVIDIA H200 and CPU, n = 1"
    study.record_verdict("C9", "it works", "supported", "+1.0", [study, other, study])
    (verdict,) = load_verdicts(study.folder)
    assert verdict.provenance == f"{study.caption}; {other.caption}"


@pytest.mark.parametrize(
    ("sides", "verdict"),
    [
        (["above", "above"], "supported"),
        (["above", ""], "supported where a"),
        (["", ""], "not shown"),
        (["", "below"], "contradicted where b"),
        (["above", "below"], "supported where a; contradicted where b"),
        (["below", "below"], "contradicted"),
        ([], "not shown"),
    ],
)
def test_verdicts_from_sides(sides, verdict):
    assert verdict_from_sides(pd.Series(sides, list("ab")[: len(sides)], dtype=object)) == verdict


def test_a_place_supports_a_claim_only_if_all_differences_there_do():
    rows = [("x", 0.3, "above"), ("x", 0.3, ""), ("x", 0.5, ""), ("x", 0.5, "below"), ("y", 0.3, "above")]
    sides = sides_at(pd.DataFrame(rows, columns=["dataset", "rate", "side"]), ["dataset", "rate"])
    assert sides.to_dict() == {("x", 0.3): "", ("x", 0.5): "below", ("y", 0.3): "above"}


def found(*rows):
    return findings(pd.DataFrame(rows, columns=["side", "p_family", "detectable"]), "UCB is", "RS2")


def test_findings_name_what_would_have_been_detected():
    undecided, single = ("", 0.5, 0.9), ("", float("nan"), float("nan"))
    detected = "The smallest difference that would have been detected with 80 % power is"
    assert found(undecided) == f"UCB is neither above nor below RS2. {detected} 0.9 points"
    assert found(undecided, ("", 1.0, 1.24)).endswith(f"{detected} 0.9 to 1.2 points")
    assert found(*[undecided] * 4, ("", 1.0, 60.0)).endswith(f"{detected} typically 0.9 points")
    assert found(("above", 0.01, 0.7), single) == "UCB is above RS2"
    assert found(("below", 0.01, 0.7), undecided) == (
        "UCB is above RS2 in none of 2 comparisons and below in 1 (family-wise error rate 5 %). For the others,"
        f" {detected.replace('The', 'the')} 0.9 points"
    )
    assert found(single) == "Not tested, since runs have a single seed"


def test_the_readme_recommends_a_method_with_its_evidence():
    columns = ["method_label", "saved", "mean", "ci95", "side"]

    def recommended(*rows):
        return pages.recommendation(pd.DataFrame(rows, columns=columns).assign(dataset=""), "x")

    (line,) = recommended(("UCB", 0.5, 1.0, 0.5, "above"), ("SeTa", 0.5, -1.0, 0.5, "below"))
    assert "**UCB**. Difference from RS2 at equal compute: +1.0 ± 0.5 points at 50% compute saved. Of the 2" in line
    assert "variants with several seeds at every level of every data set, it has the highest mean of those" in line
    assert "chosen on the test set, so these differences are optimistic (x)" in line
    table = pd.DataFrame([("UCB", 0.5, 1.0, 0.5, "above")], columns=columns)
    (line,) = pages.recommendation(pd.concat([table.assign(dataset=""), table.assign(dataset="CIFAR-100")]), "x")
    assert "+1.0 ± 0.5 points at 50% compute saved; on CIFAR-100 +1.0 ± 0.5 points at 50% compute saved. Of the" in line
    (line,) = recommended(("UCB", 0.5, 0.1, 0.5, ""))
    assert "**RS2**. It uses no scores" in line
    assert "None of the 1 methods" in line
    assert "Above it" not in line
    (line,) = recommended(("UCB", 0.5, 1.0, 0.5, "above"), ("UCB", 0.9, -1.0, 0.5, "below"))
    assert "**RS2**" in line
    assert "Above it at one level and below it at another: UCB (above at 50%; below at 90%) (x)" in line
    assert not recommended(("UCB", 0.5, 1.0, float("nan"), ""))


def test_the_gallery_has_every_figure_and_the_verdict_of_the_largest_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "root", lambda: tmp_path)
    for profile, verdict in (("laptop", "supported"), ("desktop", "not shown on CIFAR-10")):
        folder = tmp_path / "figures" / profile
        made = {"claim": "C1", "title": "fast", "evidence": "+1", "provenance": profile, "notebook": "05_x.ipynb"}
        Verdict(verdict=verdict, **made).save(folder)
        (folder / "picture.png").touch()
    text = pages.gallery()
    assert "**Not shown on CIFAR-10.** +1." in text
    assert "**Supported.**" not in text
    assert text.index("desktop/picture.png") < text.index("laptop/picture.png")
    assert json.loads((folder / "verdict_C1.json").read_text())["provenance"] == "desktop"
