import os

import pytest

from dynprune_lib import paths
from dynprune_lib.errors import PrivateFolderError
from dynprune_lib.paths import private_folder


def test_a_normal_install_finds_the_checkout_around_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "dynprune_lib")
    (tmp_path / "checkout" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout" / "notebooks")
    assert paths.results_dir() == tmp_path / "checkout" / "notebooks" / "results"  # not yet a checkout
    (tmp_path / "checkout" / "claims.yaml").touch()
    assert paths.results_dir() == tmp_path / "checkout" / "results"


def test_a_private_folder_is_for_its_user_alone(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("DYNPRUNE_CACHE", str(cache))
    assert private_folder("locks", "cpu") == cache / "locks" / "cpu"
    for folder in (cache, cache / "locks", cache / "locks" / "cpu"):
        assert folder.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o755)
    private_folder("locks")
    assert cache.stat().st_mode & 0o777 == 0o700


def test_it_lies_where_the_system_keeps_such_folders_else_among_the_temporary_files(tmp_path, monkeypatch):
    monkeypatch.delenv("DYNPRUNE_CACHE")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert private_folder() == tmp_path / "xdg" / "dynprune"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert private_folder() == tmp_path / "home" / ".cache" / "dynprune"
    (tmp_path / "file").write_text("no folder can be made here")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert private_folder() == tmp_path / f"dynprune-{os.getuid()}"


def test_what_is_not_ones_own_is_refused_with_the_remedy(tmp_path, monkeypatch):
    def refused(folder, message):
        monkeypatch.setenv("DYNPRUNE_CACHE", str(folder))
        with pytest.raises(PrivateFolderError, match=f"{message}.*: remove it, or set DYNPRUNE_CACHE"):
            private_folder("locks")

    (tmp_path / "link").symlink_to(tmp_path)
    refused(tmp_path / "link", "is a link")
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "cannot create the folder .*File exists")
    monkeypatch.setattr("os.getuid", lambda: 12345)
    refused(tmp_path, "belongs to another user")
