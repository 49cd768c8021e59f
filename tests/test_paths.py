import os

import pytest

from dynprune_lib import paths
from dynprune_lib.errors import DynpruneError, PrivateFolderError
from dynprune_lib.paths import expand, private_folder


def test_a_normal_install_finds_the_checkout_around_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "dynprune_lib")
    (tmp_path / "checkout" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout" / "notebooks")
    assert paths.results_dir() == tmp_path / "checkout" / "notebooks" / "results"  # not yet a checkout
    (tmp_path / "checkout" / "claims.yaml").touch()
    assert paths.results_dir() == tmp_path / "checkout" / "results"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNPRUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_private_folder_is_for_its_user_alone(cache):
    assert private_folder("locks", "cpu") == cache / "locks" / "cpu"
    for folder in (cache, cache / "locks", cache / "locks" / "cpu"):
        assert folder.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o755)
    private_folder("locks")
    assert cache.stat().st_mode & 0o777 == 0o700


def test_it_lies_where_the_system_keeps_such_folders(tmp_path, monkeypatch):
    monkeypatch.delenv("DYNPRUNE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert private_folder() == tmp_path / "xdg" / "dynprune"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert private_folder() == tmp_path / "home" / ".cache" / "dynprune"


def test_without_a_home_that_can_be_written_it_lies_among_the_temporary_files(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("no folder")
    monkeypatch.delenv("DYNPRUNE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert private_folder() == tmp_path / f"dynprune-{os.getuid()}"


def somebody_elses(folder):
    folder.mkdir(mode=0o777)
    os.chown(folder, 12345, 12345)


def link(folder):
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        pytest.param(
            somebody_elses,
            "belongs to another user",
            marks=pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away"),
        ),
        (link, "is a link"),
        (lambda folder: folder.write_text(""), "cannot create the folder .* File exists"),
    ],
)
def test_what_is_not_ones_own_is_refused_with_the_remedy(cache, prepare, message):
    prepare(cache)
    with pytest.raises(
        PrivateFolderError, match=f"{message.replace(' File', '.File')}.*: remove it, or set DYNPRUNE_CACHE"
    ):
        private_folder("locks")


def test_an_unknown_home_is_told():
    with pytest.raises(DynpruneError, match=r"~nobody-of-this-name/x: .*: write the path without ~"):
        expand("~nobody-of-this-name/x")
