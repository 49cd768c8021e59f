"""Running the notebooks: on a profile by papermill, and in place as they are committed."""

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
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from dynprune_lib.errors import NotebookError
from dynprune_lib.paths import root
from dynprune_lib.readme import update_readme

KEPT_METADATA = ("kernelspec", "language_info")


def reproduce_notebooks(
    profile: str,
    parameters: dict[str, Any] | None = None,
    data_dir: str | Path | None = None,
    results: str | Path | None = None,
) -> None:
    """Runs every notebook, in order, on a profile; executed copies and HTML go to `reproduced/PROFILE/`.

    Args:
        profile: handed to every notebook.
        parameters: others, handed to every notebook that has them.
        data_dir: folder of the data sets.
        results: folder of the run records.

    Raises:
        NotebookError: no notebook has one of the parameters, or a notebook fails; the message is the notebook's own.
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
    target.mkdir(parents=True, exist_ok=True)
    for path in notebooks:
        started = time.perf_counter()
        _execute(path, target / path.name, {name: given[name] for name in given if name in known[path]})
        print(f"{path.name:40} {time.perf_counter() - started:6.1f} s", flush=True)
    print(f"executed copies and HTML are in {target}")


def render_notebooks() -> None:
    """Runs every notebook on its own parameters and keeps the outputs in place, without times and paths of the
    machine: the form in which they are committed. The numbers of the README are written anew as well."""
    for path in notebook_paths():
        notebook = nbformat.read(path, as_version=4)
        folder = {"metadata": {"path": path.parent}}
        with _kernel_settings() as config:
            NotebookClient(notebook, kernel_name="python3", resources=folder, config=config).execute()
        clean(notebook)
        nbformat.write(notebook, path)
        print(path.name, flush=True)
    update_readme()


def notebook_paths() -> list[Path]:
    """The notebooks of the checkout, in the order of their numbers."""
    paths = sorted((root() / "notebooks").glob("*.ipynb"))
    if not paths:
        raise NotebookError(f"no notebooks in {root() / 'notebooks'}: run this in a checkout of the project")
    return paths


def clean(notebook: NotebookNode) -> None:
    """Removes what differs between two machines and is no result: metadata of the execution, and progress bars."""
    notebook.metadata = NotebookNode({name: notebook.metadata[name] for name in KEPT_METADATA})
    notebook.metadata.language_info = NotebookNode(name="python")
    for cell in notebook.cells:
        cell.metadata = NotebookNode({name: cell.metadata[name] for name in ("tags",) if name in cell.metadata})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


@contextlib.contextmanager
def _kernel_settings() -> Iterator[Config]:
    """Talks to the kernel by files where the system has such sockets: by network ports, it warns of being open."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"transport": "ipc", "ip": str(Path(folder) / "kernel")}
        yield Config({} if os.name == "nt" else {"KernelManager": files})


def _execute(source: Path, target: Path, parameters: dict[str, Any]) -> None:
    try:
        with _kernel_settings() as config:
            notebook = papermill.execute_notebook(
                source, target, parameters, kernel_name="python3", progress_bar=False, config=config
            )
    except PapermillExecutionError as error:
        raise NotebookError(f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue}") from error
    clean(notebook)  # the page shows results, the executed copy beside it all that was printed
    html, _ = HTMLExporter().from_notebook_node(notebook)
    target.with_suffix(".html").write_text(html)
