"""Execute the notebooks: copies on a profile with papermill, or in place for a commit."""

import base64
import contextlib
import functools
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

from dynprune_lib.errors import NotebookError
from dynprune_lib.experiments.profile import Profile, load_profile
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import results_dir, root
from dynprune_lib.report.notebook_progress import NotebookProgress, OnCellStart
from dynprune_lib.report.pages import update_pages
from dynprune_lib.report.study import small_png

WIDGET = "application/vnd.jupyter.widget-view+json"  # a widget lives as long as its kernel
KEPT_METADATA = ("kernelspec", "language_info")
SOCKET_PATH = 80  # bytes: longest folder for the sockets of a kernel; systems allow about 100 with the file name


def reproduce_notebooks(
    profile: str,
    parameters: dict[str, Any] | None = None,
    data_dir: str | Path | None = None,
    results: str | Path | None = None,
    jobs: int = 1,
    only: Collection[str] = (),
    start: str | None = None,
) -> None:
    """Train the missing runs of a profile, then execute the notebooks, in order.

    Executed copies and HTML go to `reproduced/PROFILE/`, without progress and warnings. A progress bar shows first the
    runs, then the notebooks; each executed notebook has a line.

    Args:
        profile: name of the profile.
        parameters: more parameters by name, each passed to the notebooks that have it. Default: none.
        data_dir: folder of the data sets. Default: see `load_dataset`.
        results: folder of the run records. Default: `results` in the checkout.
        jobs: number of runs to train in parallel, at least 1. Default: 1.
        only: numbers of the notebooks to execute, such as "03". Default: all.
        start: number of the first notebook to execute. Default: the first of all.

    Raises:
        NotebookError: no notebook has one of the parameters or numbers, a parameter has a wrong value, a folder cannot
            be written, or a notebook fails; the message then has the cell and its error. What was made before is kept.
        SweepError: runs failed; the others are kept.
    """
    notebooks = choose_notebooks(only, start)
    folders = {"data_dir": data_dir, "results": results}
    given = (parameters or {}) | {"profile": profile}
    given |= {name: str(Path(folder).resolve()) for name, folder in folders.items() if folder is not None}
    check_parameters(parameters or {})
    target = root() / "reproduced" / profile
    chosen = load_profile(profile, given.get("dataset"))
    _check_writable(target, root() / "figures" / chosen.name)
    store = Store(results_dir(given.get("results")) / chosen.name)
    plan = Plan(store, given.get("data_dir"), jobs, chosen.threads, lines=False)
    sweep(_runs_of(notebooks, chosen, given.get("seeds")), plan)
    with NotebookProgress(len(notebooks)) as progress:
        for path in notebooks:
            passed = {name: given[name] for name in given if name in _parameters_of(path)}
            try:
                with progress.of(path) as on_cell_start:
                    _execute(path, target / path.name, passed, on_cell_start)
            except NotebookError as error:
                remedy = f"{target / path.name} has its output; --from {_number(path)} resumes here"
                raise NotebookError(f"{error} ({remedy})") from error
    print(f"executed copies and HTML are in {target}")


def render_notebooks(only: Collection[str] = (), start: str | None = None) -> None:
    """Execute notebooks in place with their default parameters, and update the pages that are written from them.

    Outputs are saved in the form in which they are committed: without execution times and paths of the machine, and
    with small images.

    Args:
        only: see `reproduce_notebooks`, as is `start`. Default: all.
        start: number of the first notebook to execute. Default: the first of all.

    Raises:
        NotebookError: no notebook has one of the numbers, a folder cannot be written, or a notebook fails.
    """
    paths = choose_notebooks(only, start)
    _check_writable(paths[0].parent, root() / "figures")
    with NotebookProgress(len(paths)) as progress:
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            with progress.of(path) as on_cell_start, _kernel_settings() as config:
                NotebookClient(
                    notebook,
                    kernel_name="python3",
                    resources={"metadata": {"path": path.parent}},
                    config=config,
                    on_cell_start=on_cell_start,
                ).execute()
            clean(notebook)
            _shrink_images(notebook)
            atomic_write(path, (nbformat.writes(notebook) + "\n").encode())
    update_pages()


def notebook_paths() -> list[Path]:
    """Return the notebooks of the checkout, in the order of their numbers.

    Raises:
        NotebookError: there are none.
    """
    paths = sorted((root() / "notebooks").glob("*.ipynb"))
    if not paths:
        raise NotebookError(f"no notebooks in {root() / 'notebooks'}: run this in a checkout of the project")
    return paths


def check_parameters(parameters: dict[str, Any]) -> None:
    """Check the parameters of notebooks by name, except that of the profile, which is an argument of its own.

    Raises:
        NotebookError: no notebook has one of them, or its value is not of its type.
    """
    known = set().union(*map(_parameters_of, notebook_paths())) - {"profile"}
    if unknown := set(parameters) - known:
        names, allowed = (", ".join(sorted(each)) for each in (unknown, known))
        raise NotebookError(f"no notebook has the parameter {names}: there are {allowed}; name a profile by --profile")
    seeds = parameters.get("seeds")
    if seeds is not None and not (isinstance(seeds, list) and {type(seed) for seed in seeds} == {int}):
        raise NotebookError(f"the parameter seeds is {seeds!r}: it must be a list of integers, such as [0, 1]")
    for name in ("dataset", "data_dir", "results"):
        if not isinstance(parameters.get(name), str | None):
            raise NotebookError(f"the parameter {name} is {parameters[name]!r}: it must be text")


def choose_notebooks(only: Collection[str] = (), start: str | None = None) -> list[Path]:
    """Return the notebooks of the checkout that have one of some numbers, from a number on.

    Args:
        only: numbers such as "03". Default: all.
        start: the first number. Default: the first of all.

    Raises:
        NotebookError: there is no notebook of a number, or none is left.
    """
    paths = notebook_paths()
    numbers = [_number(path) for path in paths]
    for number in [*only, *([] if start is None else [start])]:
        if number not in numbers:
            raise NotebookError(f"no notebook has the number {number!r}: there are {', '.join(numbers)}")
    chosen = [path for path in paths if (not only or _number(path) in only) and _number(path) >= (start or "")]
    if not chosen:
        raise NotebookError(f"notebook {', '.join(only)} comes before {start}: leave out --only or --from")
    return chosen


def clean(notebook: NotebookNode) -> None:
    """Remove from a notebook what depends on the session: metadata of its execution, progress, warnings, widgets."""
    notebook.metadata = NotebookNode({name: notebook.metadata[name] for name in KEPT_METADATA})
    notebook.metadata.language_info = NotebookNode(name="python")
    for cell in notebook.cells:
        cell.metadata = NotebookNode({name: cell.metadata[name] for name in ("tags",) if name in cell.metadata})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    _drop_stderr(notebook)


def _drop_stderr(notebook: NotebookNode) -> None:
    """Remove progress bars and warnings from the outputs of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


def _shrink_images(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if image := output.get("data", {}).get("image/png"):
                output.data["image/png"] = base64.b64encode(small_png(base64.b64decode(image))).decode()


@functools.cache  # asked for the checks and for the execution
def _parameters_of(path: Path) -> set[str]:
    return set(papermill.inspect_notebook(path))


def _number(path: Path) -> str:
    return path.stem.partition("_")[0]


def _runs_of(notebooks: list[Path], profile: Profile, seeds: Collection[int] | None) -> list[RunSpec]:
    """Return the runs that notebooks show, in the order of the profile."""
    names = {path.stem for path in notebooks}
    shown = [name for name, experiment in profile.experiments.items() if experiment.notebook in names]
    wanted = {spec.name for name in shown for spec in profile.runs(name, seeds)}
    return [spec for spec in profile.runs(seeds=seeds) if spec.name in wanted]


def _check_writable(*folders: Path) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise NotebookError(f"cannot write {folder} ({error.strerror}): use a checkout of your own") from error


@contextlib.contextmanager
def _kernel_settings() -> Iterator[Config]:
    """Return settings that connect to the kernel by sockets in a folder, where possible.

    Jupyter prints a warning about open network ports otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {"transport": "ipc", "ip": str(Path(folder) / "kernel")}
        use_files = os.name != "nt" and len(os.fsencode(folder)) < SOCKET_PATH
        yield Config({"KernelManager": files} if use_files else {})


def _execute(source: Path, target: Path, parameters: dict[str, Any], on_cell_start: OnCellStart) -> None:
    page = target.with_suffix(".html")
    with tempfile.TemporaryDirectory() as folder, _kernel_settings() as config:
        copy = Path(folder) / source.name  # papermill writes in place, and more than once
        options = {"kernel_name": "python3", "progress_bar": False, "config": config, "on_cell_start": on_cell_start}
        try:
            papermill.execute_notebook(source, copy, parameters, **options)
        finally:
            if copy.exists():  # of a failed notebook as well: it shows where it failed
                notebook = nbformat.read(copy, as_version=4)
                _drop_stderr(notebook)
                atomic_write(target, (nbformat.writes(notebook) + "\n").encode())
                page.unlink(missing_ok=True)  # of an earlier execution
    clean(notebook)
    html, _ = HTMLExporter().from_notebook_node(notebook)
    atomic_write(page, html.encode())
