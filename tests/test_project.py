"""What an installation, a wheel and the pages promise."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml

import dynprune_lib
from tests.helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_installs_what_make_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *from_conda, by_pip = environment["dependencies"]
    assert from_conda == [f"python{PROJECT['requires-python']}", "pip"]
    first, second = re.findall(r"pip install --quiet -c constraints.txt (.*)", (ROOT / "Makefile").read_text())
    assert by_pip["pip"] == ["-c constraints.txt", first, second.replace("'", "")]


NOTEBOOKS = ["pandas", "seaborn", "matplotlib", "ipywidgets", "papermill", "nbformat", "nbconvert", "IPython", "scipy"]
EXPERIMENTS = ["torchvision", "sklearn", "yaml", "typer", "tqdm", "PIL", "accelerate", "lightning"]


def python_without(hidden, code, folder=ROOT):
    """Run code where some packages are not installed; CI runs it in an installation that lacks them, too."""
    code = f"import runpy, sys; sys.modules.update(dict.fromkeys({hidden})); {code}"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_wheel_has_every_file_of_the_package_and_samplers_that_need_torch_and_numpy_alone(tmp_path):
    def files(folder):
        found = (path for path in folder.rglob("*") if path.suffix in (".csv", ".py", ".yaml", ".typed"))
        return {str(path.relative_to(folder)) for path in found}

    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "dynprune_lib", tmp_path / "dynprune_lib", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path / "made", tmp_path]
    subprocess.run(command, check=True)
    (path,) = (tmp_path / "made").glob("*.whl")
    assert f"-{dynprune_lib.__version__}-" in path.name
    installed = tmp_path / "installed"
    zipfile.ZipFile(path).extractall(installed)
    assert files(installed / "dynprune_lib") == files(ROOT / "dynprune_lib")
    run = f"runpy.run_path({str(ROOT / 'tests' / 'bare.py')!r}); print(sys.modules['dynprune_lib'].__file__)"
    done = python_without(NOTEBOOKS + EXPERIMENTS, f"sys.path.insert(0, '.'); {run}", installed)
    assert not done.returncode, done.stderr
    assert done.stdout.startswith("160 sample passes made, 96 left out")
    assert str(installed) in done.stdout


@pytest.mark.slow
def test_a_command_needs_its_own_extra_alone_and_names_it():
    run = "runpy.run_module('dynprune_lib', run_name='__main__')"
    done = python_without(EXPERIMENTS, run)
    assert done.returncode == 1
    assert done.stderr == "dynprune: typer is not installed: pip install '.[experiments]' in the checkout\n"
    done = python_without(NOTEBOOKS[:-1], f"sys.argv[1:] = ['sweep', 'smoke', '--dry-run']; {run}")  # sklearn has scipy
    assert "runs of smoke" in done.stdout


def test_importing_the_package_imports_nothing_else():
    done = python_without(
        [], "import dynprune_lib; print(*(name for name in ('torch', 'numpy') if name in sys.modules))"
    )
    assert (done.stdout, done.stderr) == ("\n", "")


@pytest.mark.slow
def test_the_numbers_of_the_pages_are_those_of_the_records():
    from dynprune_lib.report.pages import pages

    made = pages()
    assert "UCB" in made["README.md"]
    for name, text in made.items():
        assert (ROOT / name).read_text() == text, name


@pytest.mark.slow
def test_the_benchmark_of_the_samplers_runs():
    command = [sys.executable, ROOT / "benchmarks" / "samplers.py", "--largest", "10000"]
    assert "lists on the host" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_tracked_files_stay_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    assert (
        sum((ROOT / name).lstat().st_size for name in listed.stdout.split("\0") if (ROOT / name).is_file()) < 16 * 2**20
    )
