"""The files around the code: what they promise is held against each other."""

import contextlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata

import pytest
import yaml

import dynprune_lib
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.static_scores import scoring_spec
from dynprune_lib.experiments.store import Store
from tests.helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().lower().splitlines() if line[0] != "#"
)
REQUIRED = [
    requirement
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in group
    if not requirement.startswith("dynprune[")
]


@pytest.mark.parametrize("requirement", REQUIRED)
def test_every_requirement_has_a_pinned_version_that_it_allows(requirement):
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    assert PINNED[wanted.name.lower()] in wanted.specifier


def test_the_pinned_versions_install_on_the_oldest_python_that_is_allowed():
    from packaging.specifiers import SpecifierSet

    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    for name in PINNED:
        with contextlib.suppress(metadata.PackageNotFoundError):  # of an extra that is not installed
            wanted = metadata.metadata(name).get("Requires-Python", "")
            assert SpecifierSet(wanted).contains(oldest), f"{name} {metadata.version(name)} needs Python {wanted}"


ONLY_TORCH = """
import sys

import numpy
import torch

loaded = {name.partition(".")[0] for name in sys.modules}
allowed = sys.stdlib_module_names | loaded | {"torch", "numpy", "dynprune_lib"}
assert not allowed & {"typer", "yaml", "sklearn", "torchvision", "PIL", "pandas", "accelerate", "lightning"}


class Forbid:
    def find_spec(self, name, *_):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"no module named {name}", name=name)


sys.meta_path.insert(0, Forbid())
sys.path.insert(0, "")
import runpy
"""


@pytest.mark.slow
def test_the_samplers_need_torch_and_numpy_alone():
    code = f"{ONLY_TORCH}\nrunpy.run_path('tests/bare.py')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert done.stdout.startswith("160 sample passes made, 96 left out")


@pytest.mark.slow
def test_the_command_without_its_extra_says_so_in_a_line():
    code = f"{ONLY_TORCH}\nrunpy.run_module('dynprune_lib', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "dynprune: typer is not installed: pip install '.[experiments]' in the checkout\n"


def test_an_isolated_build_uses_the_pinned_version():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    assert build["requires"] == [f"setuptools=={PINNED['setuptools']}"]


def test_pip_is_pinned_and_installs_everything_else():
    first, *others = re.findall(r"pip install --quiet (.*)", (ROOT / "Makefile").read_text())
    assert first == "-c constraints.txt pip"
    assert others
    assert PINNED["pip"]


def test_conda_installs_what_make_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *from_conda, by_pip = environment["dependencies"]
    assert from_conda == [f"python{PROJECT['requires-python']}", "pip"]
    first, second = re.findall(r"pip install --quiet -c constraints.txt (.*)", (ROOT / "Makefile").read_text())
    assert by_pip["pip"] == ["-c constraints.txt", first, second.replace("'", "")]


def test_commands_of_make_are_quoted_for_any_path():
    make = (ROOT / "Makefile").read_text()
    recipes = [line for line in make.splitlines() if line.startswith("\t") and "echo" not in line]
    for line in recipes:
        assert not re.search(r"(?<!\")\$\((PYTHON|BIN|VENV)\)", line), line


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A folder with what a wheel of the project installs."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "dynprune_lib", folder / "dynprune_lib", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "made", folder]
    subprocess.run(command, check=True)
    (path,) = (folder / "made").glob("*.whl")
    with zipfile.ZipFile(path) as file:
        file.extractall(folder / "installed")
    return folder / "installed"


@pytest.mark.slow
def test_a_wheel_has_every_file_of_the_package(wheel):
    def files(folder):
        found = (path for path in folder.rglob("*") if path.suffix in (".py", ".yaml", ".typed"))
        return {str(path.relative_to(folder)) for path in found}

    assert files(wheel / "dynprune_lib") == files(ROOT / "dynprune_lib")
    (described,) = wheel.glob("*.dist-info/METADATA")
    assert f"\nVersion: {dynprune_lib.__version__}\n" in described.read_text()


@pytest.mark.slow
def test_a_wheel_has_samplers_that_need_torch_alone(wheel):
    hidden = ["torchvision", "sklearn", "pandas", "yaml", "typer", "tqdm", "PIL", "scipy", "matplotlib"]
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden}))\n"
        "import torch, dynprune_lib\n"
        "assert 'installed' in dynprune_lib.__file__, dynprune_lib.__file__\n"
        "from dynprune_lib import UCB, indexed\n"
        "import dynprune_lib.samplers, dynprune_lib.scores\n"
        "print(len(UCB(10, 0.5)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=wheel, capture_output=True, text=True, check=True)
    assert done.stdout == "5\n"


def test_importing_the_package_imports_nothing_else():
    script = "import sys, dynprune_lib; print(*(name for name in ('torch', 'numpy') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("samplers", "dynprune_lib.experiments.runs"),
        ("samplers", "dynprune_lib.report.tables"),
        ("samplers", "tqdm"),
        ("integrations", "dynprune_lib.experiments.train"),
        ("experiments", "dynprune_lib.report.study"),
        ("experiments", "pandas"),
        ("report", "dynprune_lib.cli"),
    ],
)
def test_the_walls_between_the_rooms_hold(room, forbidden):
    path = f"dynprune_lib/{room}/new_file.py"
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", path, "-"]
    done = subprocess.run(command, cwd=ROOT, input=f"import {forbidden}\n", capture_output=True, text=True)
    assert done.returncode == 1
    assert "is banned" in done.stdout


@pytest.mark.slow
def test_training_needs_none_of_the_packages_of_the_notebooks():
    hidden = ["pandas", "seaborn", "matplotlib", "papermill", "nbformat", "nbconvert", "IPython"]
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden}))\n"
        "from dynprune_lib.cli import app\n"
        "app(['sweep', 'smoke', '--dry-run'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "runs of smoke" in done.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md"])
def test_what_a_page_names_is_there(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
    make = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^ *)make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", make, re.MULTILINE), target


READ_SELECTIONS = {  # experiment -> samplers whose selections its notebook reads
    "sometimes_samples": ["ucb"],
    "a_dynamic_process": ["ucb"],
    "noise_ceiling": ["ucb"],
    "static_pruning_and_its_cost": ["forget", "el2n", "grand", "cat", "cowerage"],
    "dropped_groups": ["without-group"],
    "final_subset": ["final-subset"],
}


@pytest.fixture(scope="module")
def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def test_tracked_files_stay_small(tracked):
    assert sum((ROOT / name).stat().st_size for name in tracked) < 16 * 2**20


def test_the_selections_that_notebooks_read_are_tracked_and_none_without_its_record(tracked):
    read = set()
    for name in ("laptop", "desktop"):
        for experiment, samplers in READ_SELECTIONS.items():
            specs = [spec for spec in load_profile(name).runs(experiment) if spec.sampler in samplers]
            read |= {f"results/{name}/{spec.name}" for spec in specs}
            # notebook 04 reads who is in a group; other scores are large, and made again where a run needs them
            grouped = [scoring_spec(spec) for spec in specs if spec.sampler == "without-group"]
            read |= {f"results/{name}/scores/{scoring.name}" for scoring in grouped}
    arrays = {name for name in tracked if name.startswith("results/") and name.endswith(".npz")}
    assert arrays >= {f"{name}.npz" for name in read if f"{name}.json" in tracked}
    assert {f"{name.removesuffix('.npz')}.json" for name in arrays} <= tracked


@pytest.mark.slow
def test_the_numbers_of_the_pages_are_those_of_the_records():
    from dynprune_lib.report.pages import pages

    made = pages()
    assert "UCB" in made["README.md"]
    for name, text in made.items():
        assert (ROOT / name).read_text() == text, name


def test_the_citation_and_the_changelog_name_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == dynprune_lib.__version__
    assert citation["license"] == PROJECT["license"]
    assert f"\n## [{dynprune_lib.__version__}] - {citation['date-released']}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_no_test_imports_another_test_module():
    for path in (ROOT / "tests").rglob("*.py"):
        assert not re.search(r"^from tests\.(\w+\.)*test_", path.read_text(), re.MULTILINE), path


def test_records_that_are_compared_share_one_precision():
    for name in ("laptop", "desktop"):
        profile, store = load_profile(name), Store(ROOT / "results" / name)
        for experiment in profile.experiments:
            records = [record for spec in profile.runs(experiment) if (record := store.load(spec))]
            # who is in a group may have been found in another precision
            scored = [spec for spec in (each.spec for each in records) if spec.is_static_scored]
            needed = [scoring_spec(spec) for spec in scored if spec.sampler != "always-first"]
            made = [*records, *(scores for scoring in needed if (scores := store.load_scores(scoring)))]
            assert len({each.environment["precision"] for each in made}) <= 1, (name, experiment)
