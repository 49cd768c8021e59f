"""Whatever happens to a sweep, what it has made stays whole, and the rest goes on or stops with a clear message."""

import errno
import multiprocessing
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from dynprune_lib.errors import StoreError, SweepError
from dynprune_lib.experiments import make as make_module
from dynprune_lib.experiments.static_scores import static_scores
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.experiments.train import train
from tests.helpers import Stop, results, stop_after, tiny

pytestmark = pytest.mark.slow

METHODS = [
    {},
    {"sampler": "ucb", "prune_rate": 0.5},
    {"sampler": "epsilon-greedy", "prune_rate": 0.7, "settings": {"period": 2}},
    {"sampler": "forget", "prune_rate": 0.5},
]
SPECS = [tiny(epochs=6, batch_size=32, **method, seed=seed) for seed in range(2) for method in METHODS]


def make(folder):
    torch.set_num_threads(1)
    sweep(SPECS, Plan(Store(folder), threads=1))


def test_two_sweeps_over_one_store_share_the_work(tmp_path):
    alone, both = Store(tmp_path / "alone"), Store(tmp_path / "both")
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=make, args=(both.folder,), daemon=True) for _ in range(2)]
    for process in started:
        process.start()
    sweep(SPECS, Plan(alone, threads=1))
    for process in started:
        process.join()
        assert process.exitcode == 0
    for spec in SPECS:
        assert results(both.load(spec)) == results(alone.load(spec))


def test_a_disk_that_is_full_stops_the_sweep_and_leaves_no_half_of_a_file(store, monkeypatch):
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(SweepError, match=r"^cannot write .*: No space left on device$"):  # once, not for each run
        sweep(SPECS, Plan(store))
    assert [path for path in store.folder.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_folder_that_cannot_be_written_is_told_before_any_training(monkeypatch, tmp_path):
    monkeypatch.setattr(make_module, "train", lambda *_: pytest.fail("trained"))
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match=r"^cannot make the folder .*file/\.running: Not a directory$"):
        sweep(SPECS, Plan(Store(tmp_path / "file")))

    original = Path.open

    def read_only(path, *rest, **options):
        if path.suffix == ".lock":
            raise OSError(30, "Read-only file system")
        return original(path, *rest, **options)

    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(SweepError, match=r"^cannot write .*\.lock: Read-only file system$"):
        sweep(SPECS, Plan(Store(tmp_path / "folder")))


@pytest.mark.parametrize(
    ("where", "wrong", "error", "message"),
    [
        ("train", SPECS[0], torch.OutOfMemoryError("out of memory"), r"out of memory: try fewer runs at"),
        ("static_scores", SPECS[3], ZeroDivisionError(), r"(?s)Traceback.*test_reliability.py.*ZeroDivisionError"),
    ],
)
def test_what_happens_to_a_run_does_not_stop_the_others(monkeypatch, store, where, wrong, error, message):
    original = getattr(make_module, where)

    def fail(spec, *rest):
        if spec == wrong:
            raise error
        return original(spec, *rest)

    monkeypatch.setattr(make_module, where, fail)
    with pytest.raises(SweepError, match=message):
        sweep([wrong, SPECS[1]], Plan(store))
    assert [store.has(spec) for spec in (wrong, SPECS[1])] == [False, True]


def test_a_damaged_file_stops_its_run_alone_and_what_a_killed_process_left_is_removed(store):
    sweep(SPECS[:1], Plan(store))
    store.save_checkpoint(SPECS[1], {}, {})
    (left := store.folder / ".running" / f"{SPECS[0].name}.pt").write_bytes(b"a checkpoint")
    sweep(SPECS[:1], Plan(store))
    assert not left.exists()
    for path in (store.folder / f"{SPECS[0].name}.json", store.folder / ".running" / f"{SPECS[1].name}.pt"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SweepError) as caught:
        sweep(SPECS[:3], Plan(store))
    record, begun = str(caught.value).splitlines()
    assert "is not a complete run record" in record
    assert "is not a usable checkpoint" in begun
    assert store.has(SPECS[2])


@pytest.mark.parametrize(("begin", "spec"), [(train, SPECS[0]), (static_scores, SPECS[3])])
def test_two_data_sets_or_precisions_never_mix_in_one_record(store, digits, monkeypatch, begin, spec):
    spec, used = replace(spec, precision="bfloat16"), []
    monkeypatch.setattr("dynprune_lib.experiments.precision._computes_in_bfloat16", lambda _: used[-1])
    for in_bfloat16, data, error, message in (
        (True, digits, Stop, None),
        (True, replace(digits, md5="another"), StoreError, r"data_md5 is \w+, here it is another\): remove it and the"),
        (False, digits, StoreError, r"precision is bfloat16, here it is float32\): remove it and the run begins anew"),
    ):
        used.append(in_bfloat16)
        with pytest.raises(error, match=message):
            begin(spec, data, store, stop_after(2))
