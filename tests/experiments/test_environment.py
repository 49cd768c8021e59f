"""What a record says about where it was made."""

import subprocess

from dynprune_lib import paths
from dynprune_lib.experiments import environment


def test_the_commit_is_that_of_the_checkout_and_of_no_repository_around_an_installation(tmp_path, monkeypatch):
    identity = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "of another project"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    package = tmp_path / "site-packages" / "dynprune_lib"
    package.mkdir(parents=True)
    for module in (paths, environment):
        monkeypatch.setattr(module, "PACKAGE", package)
    assert environment._commit.__wrapped__() == ""
    (package.parent / "pyproject.toml").touch()  # as in a checkout
    assert environment._commit.__wrapped__()
