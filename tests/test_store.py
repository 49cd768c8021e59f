import dataclasses
import multiprocessing

import numpy as np
import pytest
import torch

from dynprune_lib.errors import RunIsTaken, StoreError
from dynprune_lib.store import Store, write_whole
from tests.test_runs import make_record


def save(folder, record):
    """Keeps a record whose samples were selected now and then."""
    Store(folder).save(record, {"selections": np.ones(1437, dtype=np.uint8)})


def test_what_is_saved_is_there(store, spec):
    assert store.load(spec) is None
    record = make_record(spec)
    store.save(record, {"selections": np.array([3, 0, 1], dtype=np.uint8)})
    assert store.load(spec) == record
    assert store.records() == [record]
    assert store.selections(spec).tolist() == [3, 0, 1]
    assert store.load(dataclasses.replace(spec, seed=1)) is None


def test_a_record_without_its_arrays_says_how_to_have_them(store, spec):
    store.save(make_record(spec), {"selections": np.zeros(1)})
    (store.folder / f"{spec.name}.npz").unlink()
    assert store.has(spec)
    with pytest.raises(StoreError, match=f"{spec.name}.npz is not here: remove the record beside it"):
        store.selections(spec)


def test_a_checkpoint_lives_until_the_run_is_saved(store, spec):
    assert store.load_checkpoint(spec) is None
    store.save_checkpoint(spec, {"epochs": [], "tensor": torch.arange(3)})
    assert store.load_checkpoint(spec)["tensor"].tolist() == [0, 1, 2]
    store.save(make_record(spec), {"selections": np.zeros(1)})
    assert store.load_checkpoint(spec) is None


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda _: "", lambda _: "{}", lambda _: "[]"])
def test_a_damaged_record_is_named_with_the_remedy(store, spec, damage):
    store.save(make_record(spec), {"selections": np.zeros(1)})
    path = store.folder / f"{spec.name}.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(StoreError, match=f"{spec.name}.json is no whole run record .*: remove it"):
        store.load(spec)


def test_a_record_of_another_run_under_this_name_is_refused(store, spec):
    store.save(make_record(spec), {"selections": np.zeros(1)})
    other = dataclasses.replace(spec, seed=1)
    (store.folder / f"{spec.name}.json").rename(store.folder / f"{other.name}.json")
    with pytest.raises(StoreError, match="remove it and the run is made again"):
        store.load(other)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*file: No space left on device"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path, spec):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot make the folder .*results"):
        Store(tmp_path / "results").save(make_record(spec), {"selections": np.zeros(1)})


def hold(folder, spec, held, release):
    with Store(folder).claim(spec):
        held.set()
        release.wait(20)


def test_a_run_is_held_by_one_process_and_let_go_when_it_is_killed(store, spec):
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=hold, args=(store.folder, spec, held, release))
    process.start()
    assert held.wait(20)
    with pytest.raises(RunIsTaken, match="being trained by another process"), store.claim(spec):
        pass
    with store.claim(dataclasses.replace(spec, seed=1)):
        pass
    process.kill()
    process.join()
    with store.claim(spec):
        pass
