import pytest

from dynprune_lib import paths
from dynprune_lib.errors import StoreNotWritable
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.paths import cache_folder


def test_a_normal_install_finds_the_checkout_around_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "dynprune_lib")
    (tmp_path / "checkout" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout" / "notebooks")
    assert paths.results_dir() == tmp_path / "checkout" / "notebooks" / "results"  # not yet a checkout
    (tmp_path / "checkout" / "claims.yaml").touch()
    assert paths.results_dir() == tmp_path / "checkout" / "results"


def test_locks_and_decoded_images_lie_where_the_system_keeps_such_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNPRUNE_CACHE", str(tmp_path / "given"))
    assert cache_folder() == tmp_path / "given"
    monkeypatch.delenv("DYNPRUNE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "dynprune"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "dynprune"


def test_where_they_cannot_lie_the_remedy_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DYNPRUNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreNotWritable, match=r"file/locks: Not a directory: set DYNPRUNE_CACHE"):
        sweep([], Plan(Store(tmp_path)))
