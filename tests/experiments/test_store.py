import dataclasses
import json
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from dynprune_lib.errors import Busy, StoreError
from dynprune_lib.experiments.records import Cost, StaticScores
from dynprune_lib.experiments.store import Store
from dynprune_lib.files import atomic_write
from tests.helpers import Hostile, make_record

NPZ = {"selections": np.array([4, 0, 1], dtype=np.uint8), "trace": np.full((3, 2), 0.5, np.float16)}


def scores_of(spec, values):
    return StaticScores(spec=spec, values=values, cost=Cost(seconds=2), environment={"jobs": 1})


def save_all(store, spec):
    """Save one file of each kind; return how each is read, by its path."""
    store.save(make_record(spec), NPZ)
    store.save_scores(scores_of(spec, torch.rand(3)))
    store.save_checkpoint(spec, {"tensor": torch.rand(1437)}, {})
    folder = store.folder
    return {
        folder / f"{spec.name}.json": store.load,
        folder / f"{spec.name}.npz": lambda spec: (store.selections(spec), store.trace(spec)),
        folder / "scores" / f"{spec.name}.json": store.load_scores,
        folder / "scores" / f"{spec.name}.npz": store.load_scores,
        folder / ".running" / f"{spec.name}.pt": lambda spec: store.load_checkpoint(spec, {}),
    }


def test_what_is_saved_is_there(store, spec):
    other = dataclasses.replace(spec, seed=1)
    assert store.load(spec) is store.load_scores(spec) is store.load_checkpoint(spec, {}) is None
    assert not any(has(spec) for has in (store.has, store.has_selections, store.has_scores))
    record = make_record(spec)
    save_all(store, spec)
    assert store.load(spec) == record
    assert store.records() == [record]
    assert store.selections(spec).tolist() == [4, 0, 1]
    assert store.trace(spec).tolist() == NPZ["trace"].tolist()
    scores = store.load_scores(spec)
    assert (scores.spec, scores.cost, scores.environment) == (spec, Cost(seconds=2), {"jobs": 1})
    assert scores.values.shape == (3,)
    assert all(has(spec) for has in (store.has, store.has_selections, store.has_scores))
    assert not any(has(other) for has in (store.has, store.has_scores, store.load))


def test_a_checkpoint_lives_until_its_run_or_its_scores_are_saved(store, spec):
    for save, content in (
        (store.save, (make_record(spec), NPZ)),
        (store.save_scores, (scores_of(spec, torch.rand(3)),)),
    ):
        store.save_checkpoint(spec, {"epochs": [], "tensor": torch.arange(3)}, {})
        assert store.load_checkpoint(spec, {})["tensor"].tolist() == [0, 1, 2]
        save(*content)
        assert store.load_checkpoint(spec, {}) is None


@pytest.mark.parametrize("kind", range(5))
def test_a_file_that_is_cut_missing_or_a_folder_is_named_with_the_remedy(store, spec, kind):
    path, read = list(save_all(store, spec).items())[kind]
    whole = path.read_bytes()
    for length in {*range(0, len(whole) - 2, max(1, len(whole) // 20)), 1, 40, len(whole) - 3}:
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError, match=f"{spec.name}.* remove it and"):
            read(spec)
    path.unlink()
    if kind == 1:
        with pytest.raises(StoreError, match=f"{spec.name}.npz is missing: remove the record next to it"):
            read(spec)
    path.mkdir()
    with pytest.raises(StoreError, match=f"{spec.name}.*cannot be read .*Is a directory"):
        read(spec)
    with pytest.raises(StoreError, match="remove the folder of that name"):
        atomic_write(path, b"")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("selections", np.zeros((3, 1), np.uint8)),
        ("selections", np.zeros(3)),
        ("selections", np.array([0, 5, 0], np.uint8)),  # of 4 epochs
        ("selections", np.array([0, -1, 0])),
        ("trace", np.zeros(3, np.float16)),
        ("trace", np.zeros((3, 2, 2), np.float16)),
        ("trace", np.zeros((2, 2), np.float16)),
        ("trace", np.zeros((3, 2), np.float32)),
        ("trace", np.full((3, 2), np.nan, np.float16)),
        ("scores", np.zeros((3, 1))),
        ("scores", np.array(1.0)),
        ("scores", np.array([1.0, np.nan])),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(store, spec, name, wrong):
    store.save(make_record(spec), NPZ | {name: wrong})
    store.save_scores(scores_of(spec, torch.from_numpy(wrong)))
    read = {"selections": store.selections, "trace": store.trace, "scores": store.load_scores}[name]
    with pytest.raises(StoreError, match=f"{spec.name}.* is not a complete file of .*: remove it and"):
        read(spec)


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (Store.load, "not of RunSpec.*: remove it and the run is made again"),
        (Store.load_scores, "they are of another scoring, ucb-50"),
        (lambda store, spec: store.load_checkpoint(spec, {}), "it is of another run"),
    ],
)
def test_what_is_of_another_run_than_its_name_says_is_refused(store, spec, load, reason):
    other = dataclasses.replace(spec, seed=1)
    for path in save_all(store, spec):
        path.rename(path.with_name(other.name + path.suffix))
    with pytest.raises(StoreError, match=reason):
        load(store, other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"test_accuracy": [0.5]}, "zip|epochs"),
        ({"test_accuracy": [float("nan")] * 4}, "test_accuracy is nan: it must be a finite number"),
        ({"test_accuracy": [7.0] * 4}, "test_accuracy is 7.0: it is a share"),
        ({"train_loss": [-1.0] * 4}, "train_loss is -1.0"),
        ({"steps": "abcd"}, "not a list"),
        ({"steps": [1.5] * 4}, "steps is 1.5: it must be an integer"),
        (None, "it has 3 of 4 epochs"),
    ],
)
def test_a_record_with_impossible_values_is_none(store, spec, change, reason):
    store.save(make_record(spec), NPZ)
    path = store.folder / f"{spec.name}.json"
    content = json.loads(path.read_text())
    content["epochs"] |= change or {name: [1] * 3 for name in content["epochs"]}
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=f"is not a complete run record .*({reason}).*: remove it"):
        store.load(spec)


def test_a_record_that_is_no_json_for_others_is_never_written(spec):
    with pytest.raises(ValueError, match="not JSON compliant"):
        dataclasses.replace(make_record(spec), environment={"threads": float("nan")}).to_json()


def test_nothing_that_a_file_holds_is_executed(store, spec, tmp_path):
    hostile = Hostile(str(tmp_path / "executed"))
    files = save_all(store, spec)
    for path in files:
        if path.suffix == ".npz":
            names = np.load(path).files
            np.savez(path, **{name: np.array([hostile], object) for name in names})
    store.save_checkpoint(spec, {"tensor": hostile}, {})  # with a checksum that is right
    for path, read in files.items():
        if path.suffix != ".json":
            with pytest.raises(StoreError, match="is not a "):
                read(spec)
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_with_a_flipped_bit_or_of_another_version_is_refused(store, spec):
    store.save_checkpoint(spec, {"tensor": torch.arange(50)}, {})
    path = store.folder / ".running" / f"{spec.name}.pt"
    whole = path.read_bytes()
    for place in range(0, len(whole), 19):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(StoreError, match=r"is not a usable checkpoint .*: remove it and the run begins anew"):
            store.load_checkpoint(spec, {})
    torch.save({"epochs": []}, path)  # as version 1 had it
    with pytest.raises(StoreError, match="another version made it, or it is damaged"):
        store.load_checkpoint(spec, {})


def test_a_checkpoint_from_before_a_field_existed_goes_on(store, spec, monkeypatch):
    with monkeypatch.context() as earlier:
        older = {name: value for name, value in dataclasses.asdict(spec).items() if name != "label_noise"}
        earlier.setattr("dynprune_lib.experiments.store.asdict", lambda _: older)
        store.save_checkpoint(spec, {"epochs": []}, {"precision": "float32"})
    assert store.load_checkpoint(spec, {"precision": "float32"}) == {"epochs": []}


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic_write(path, b"old")
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(StoreError, match=r"cannot write .*file: No space left on device"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_is_kept_until_it_is_forgotten(store, spec):
    assert store.failure(spec) is None
    store.save_failure(spec, "no memory")
    assert store.failure(spec) == "no memory"
    store.forget_failure(spec)
    store.forget_failure(spec)
    assert store.failure(spec) is None


def test_a_run_is_held_by_one_process_that_leaves_no_lock(store, spec):
    for _ in range(2):
        with store.claim(spec):
            with pytest.raises(Busy, match=f"{spec.name} is in use by another process"), store.claim(spec):
                pass
            with store.claim(dataclasses.replace(spec, seed=1)):
                pass
    assert not list((store.folder / ".running").iterdir())
    with store.claim(spec):
        (store.folder / ".running" / f"{spec.name}.lock").unlink()  # by a process that had opened it before
