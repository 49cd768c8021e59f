import errno
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dynprune_lib.errors import SpecError, StoreNotWritable, SweepError
from dynprune_lib.experiments.models import MODELS
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.report import figures
from dynprune_lib.report.study import PASSES_PER_SECOND, open_study, smaller_studies
from tests.helpers import make_record, save_record
from tests.report.tables import RUNS


def fill(tmp_path, profile, experiment, seeds):
    for spec in load_profile(profile).runs(experiment, seeds):
        save_record(tmp_path / profile, make_record(spec))


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr("dynprune_lib.report.study.root", lambda: tmp_path)
    fill(tmp_path / "results", "smoke", "quickstart", [5])
    return open_study("quickstart", "smoke", results=tmp_path / "results", seeds=[5])


def test_an_experiment_that_a_profile_lacks_is_that_of_the_nearest_one(tmp_path):
    fill(tmp_path, "laptop", "high_rate", [0])
    fill(tmp_path, "desktop", "wrong_labels", [0])  # which no smaller one has
    for experiment, nearest in (("high_rate", "laptop"), ("wrong_labels", "desktop")):
        for profile in ("resnet18", "desktop", "laptop"):
            assert open_study(experiment, profile, results=tmp_path, seeds=[0]).profile.name == nearest
    assert not load_profile("smoke").experiments["summit"].runs
    assert open_study("summit", "smoke", results=tmp_path).records == []


def test_reading_never_trains(tmp_path):
    message = rf"2 runs of quickstart have no record in {tmp_path}/smoke: train=True trains them \(21,555 sample passes"
    with pytest.raises(SweepError, match=message):
        open_study("quickstart", "smoke", results=tmp_path, seeds=[5])
    where = {"results": tmp_path, "data_dir": tmp_path / "none"}
    with pytest.raises(SweepError, match=r"2 runs of quickstart have no record .*which needs the data: .* is missing"):
        open_study("quickstart", "laptop", seeds=[5], **where)
    with pytest.raises(SpecError, match=r"unknown experiment 'x': there are quickstart, .+ timing"):
        open_study("x", "smoke", results=tmp_path)
    assert not list(tmp_path.iterdir())


def test_each_run_needs_a_record_at_some_seed(tmp_path):
    fill(tmp_path, "smoke", "quickstart", [0, 1])
    first, second = sorted((tmp_path / "smoke").glob("ucb*.json"))
    first.unlink()
    assert open_study("quickstart", "smoke", results=tmp_path).caption.endswith("n = 1 to 2")
    second.unlink()
    with pytest.raises(SweepError, match="2 runs of quickstart have no record"):
        open_study("quickstart", "smoke", results=tmp_path)


def test_smaller_studies_are_those_of_smaller_profiles_with_records(tmp_path):
    for profile in ("laptop", "desktop"):
        fill(tmp_path, profile, "quickstart", [0])
    (small,) = smaller_studies(open_study("quickstart", "desktop", results=tmp_path))
    assert small.profile.name == "laptop"
    assert smaller_studies(small) == []


def test_a_study_has_a_caption(study):
    assert [(record.spec.sampler, record.spec.seed) for record in study.records] == [("full", 5), ("ucb", 5)]
    assert study.caption == "digits (8x8), tiny net, 10 epochs, CPU, n = 1"
    assert study.epochs == 10
    assert study.data().name == "digits"
    # a message is the title of the runs that it was written for
    assert study.headline("UCB wins", "smoke", "Accuracy") == f"UCB wins\n{study.caption}"
    assert study.headline("UCB wins", "laptop", "Accuracy") == f"Accuracy\n{study.caption}"
    first, *others = study.records
    mixed = replace(first, environment=first.environment | {"precision": "bfloat16"})
    caption = replace(study, records=[mixed, *others]).caption
    assert caption == "digits (8x8), tiny net, 10 epochs, CPU, bfloat16 and float32, n = 1"


def test_a_caption_names_all_data_sets(tmp_path):
    fill(tmp_path, "smoke", "beyond_images", [0])
    study = open_study("beyond_images", "smoke", results=tmp_path)
    assert study.title == "breast cancer, diabetes"
    assert study.caption == f"{study.title}, multilayer perceptron, 8 epochs, CPU, n = 1"


def test_every_model_has_a_speed():
    assert set(PASSES_PER_SECOND) == set(MODELS)


@pytest.mark.slow
def test_missing_runs_are_trained_also_on_another_data_set_with_folders_and_a_caption_of_its_own(tmp_path):
    folder = tmp_path / "my pictures"
    pixels = np.random.default_rng(0).integers(256, size=(100, 32, 32, 3), dtype=np.uint8)  # two classes of noise
    for number, image in enumerate(pixels):
        name = folder / ("train" if number < 90 else "test") / f"class{number % 2}" / f"{number}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(name)
    where = {"dataset": f"folder:{folder}", "results": tmp_path / "results", "seeds": [5]}
    study = open_study("quickstart", "smoke", train=True, **where)
    assert {record.spec.dataset for record in study.records} == {f"folder:{folder}"}
    assert study.caption == "my pictures, tiny net, 10 epochs, CPU, n = 1"
    assert study.folder.name == study.store.folder.name == load_profile("smoke", f"folder:{folder}").name
    assert open_study("quickstart", "smoke", **where).records == study.records


@pytest.mark.slow
def test_a_figure_is_written_with_its_data_to_the_same_bytes_and_stays_whole_on_a_full_disk(study, monkeypatch):
    def contents():
        return {file.name: file.read_bytes() for file in study.folder.iterdir()}

    written = []
    for _ in range(2):
        study.save(figures.plot_accuracy_vs_pruning_rate(RUNS, "title"), RUNS)
        written.append(contents())
    assert sorted(written[0]) == ["quickstart.csv", "quickstart.pdf", "quickstart.png"]
    assert len(pd.read_csv(study.folder / "quickstart.csv")) == len(RUNS)
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(StoreNotWritable, match=r"cannot write .*quickstart.png: No space left"):
        study.save(figures.plot_accuracy_vs_pruning_rate(RUNS, "another title"), RUNS)
    assert contents() == written[0] == written[1]


def test_the_settings_of_a_claim_are_saved_and_decide_it(study):
    cells = pd.DataFrame({"method": ["UCB", "UCB", "RS2"], "side": ["above", "below", "above"], "n": 5})
    table = study.decide("C9", cells)
    assert table["decision"].to_dict() == {"UCB": "mixed", "RS2": "holds"}
    assert table[["as claimed", "the opposite", "settings"]].values.tolist() == [[1, 1, 2], [1, 0, 1]]
    assert pd.read_csv(study.folder / "claim_C9.csv").equals(cells)
