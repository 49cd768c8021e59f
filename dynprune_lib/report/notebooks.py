"""Execute the notebooks: copies on a profile with papermill, or in place for a commit."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from dynprune_lib.errors import NotebookError
from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import results_dir, root
from dynprune_lib.report.pages import update_pages

KEPT_METADATA = ("kernelspec", "language_info")
SOCKET_PATH = 80  # bytes: longest folder for the sockets of a kernel; systems allow about 100 with the file name


def reproduce_notebooks(
    profile: str,
    parameters: dict[str, Any] | None = None,
    data_dir: str | Path | None = None,
    results: str | Path | None = None,
    jobs: int = 1,
) -> None:
    """Execute every notebook, in order, on a profile; executed copies and HTML go to `reproduced/PROFILE/`.

    Args:
        profile: name of the profile.
        parameters: more parameters by name, each passed to the notebooks that have it. Default: none.
        data_dir: folder of the data sets. Default: see `load_dataset`.
        results: folder of the run records. Default: `results` in the checkout.
        jobs: number of runs to train in parallel, at least 1. With more than one, missing runs are trained before the
            first notebook. Default: 1.

    Raises:
        NotebookError: no notebook has one of the parameters, a folder cannot be written, or a notebook fails; the
            message has the error of the cell.
    """
    notebooks = notebook_paths()
    folders = {"data_dir": data_dir, "results": results}
    given = (parameters or {}) | {"profile": profile}
    given |= {name: str(Path(folder).resolve()) for name, folder in folders.items() if folder is not None}
    known = {path: set(papermill.inspect_notebook(path)) for path in notebooks}
    if unknown := set(given) - set().union(*known.values()):
        allowed = ", ".join(sorted(set().union(*known.values())))
        raise NotebookError(f"no notebook has the parameter {', '.join(sorted(unknown))}: there are {allowed}")
    target = root() / "reproduced" / profile
    chosen = load_profile(profile, given.get("dataset"))
    _check_writable(target, root() / "figures" / chosen.name)
    if jobs > 1:
        plan = Plan(Store(results_dir(given.get("results")) / chosen.name), given.get("data_dir"), jobs, chosen.threads)
        sweep(chosen.runs(seeds=given.get("seeds")), plan)
    for path in notebooks:
        started = time.perf_counter()
        _execute(path, target / path.name, {name: given[name] for name in given if name in known[path]})
        print(f"{path.name:40} {time.perf_counter() - started:6.1f} s", flush=True)
    print(f"executed copies and HTML are in {target}")


def render_notebooks() -> None:
    """Execute every notebook in place with its default parameters, and update the pages that are written from it.

    Outputs are saved without execution times and paths of the machine, in the form in which they are committed.

    Raises:
        NotebookError: a folder cannot be written, or a notebook fails.
    """
    paths = notebook_paths()
    _check_writable(paths[0].parent, root() / "figures")
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        folder = {"metadata": {"path": path.parent}}
        with _kernel_settings() as config, _failures_of(path):
            NotebookClient(notebook, kernel_name="python3", resources=folder, config=config).execute()
        clean(notebook)
        atomic_write(path, (nbformat.writes(notebook) + "\n").encode())
        print(path.name, flush=True)
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


def clean(notebook: NotebookNode) -> None:
    """Remove from a notebook what depends on the machine: metadata of the execution, and progress bars."""
    notebook.metadata = NotebookNode({name: notebook.metadata[name] for name in KEPT_METADATA})
    notebook.metadata.language_info = NotebookNode(name="python")
    for cell in notebook.cells:
        cell.metadata = NotebookNode({name: cell.metadata[name] for name in ("tags",) if name in cell.metadata})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


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


@contextlib.contextmanager
def _failures_of(path: Path) -> Iterator[None]:
    """Raise NotebookError with one line for a cell that fails and a kernel that dies or does not answer."""
    try:
        yield
    except PapermillExecutionError as error:
        raise NotebookError(f"{path.name}, cell {error.exec_count}: {error.ename}: {error.evalue}") from error
    except CellExecutionError as error:
        raise NotebookError(f"{path.name}: {error.ename}: {error.evalue}") from error
    except (RuntimeError, TimeoutError, OSError) as error:  # from nbclient: the kernel died or did not start
        raise NotebookError(f"{path.name}: {error}: is there enough memory and disk space?") from error


def _execute(source: Path, target: Path, parameters: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, _kernel_settings() as config:
        copy = Path(folder) / source.name  # papermill writes in place, and more than once
        try:
            with _failures_of(source):
                notebook = papermill.execute_notebook(
                    source, copy, parameters, kernel_name="python3", progress_bar=False, config=config
                )
        finally:
            if copy.exists():
                atomic_write(target, copy.read_bytes())  # of a failed notebook as well: it shows where it failed
    clean(notebook)  # the HTML page shows results only; the executed copy keeps all output
    html, _ = HTMLExporter().from_notebook_node(notebook)
    atomic_write(target.with_suffix(".html"), html.encode())
