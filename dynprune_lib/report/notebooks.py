"""Execute the notebooks with papermill: copies on a profile, or in place for a commit."""

import base64
import contextlib
import dataclasses
import functools
import gc
import logging
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets import default
from traitlets.config import Config

from dynprune_lib.errors import NotebookError
from dynprune_lib.experiments.profile import PROFILES, load_profile
from dynprune_lib.experiments.schedule import progress_bar
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.files import atomic_write, make_folder
from dynprune_lib.paths import results_dir, root
from dynprune_lib.report.pages import update_pages
from dynprune_lib.report.study import checked_seeds, small_png

WIDGET = "application/vnd.jupyter.widget-view+json"  # a widget lives as long as its kernel


class _OwnKernel(AsyncKernelManager):
    """Manager whose kernel is the running interpreter, whichever kernels the user has installed."""

    @default("kernel_spec_manager")
    def _installed(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])


OPTIONS: dict[str, Any] = {
    "kernel_name": "python3",
    "progress_bar": False,
    "shutdown_kernel": "immediate",  # a kernel that computes takes seconds to hear a request
    "coalesce_streams": True,  # else it depends on the speed of the machine where an output is cut in two
    "config": Config({"KernelManager": {"transport_encryption": "auto"}}),  # each kernel warns where it is off
    "kernel_manager_class": _OwnKernel,
}


def reproduce_notebooks(
    profile: str,
    parameters: dict[str, Any] | None = None,
    data_dir: str | Path | None = None,
    results: str | Path | None = None,
    jobs: int = 1,
    only: Collection[str] = (),
    start: str | None = None,
) -> None:
    """Execute the notebooks on a profile; copies and HTML go to `reproduced/PROFILE/`.

    Missing runs are trained first on the smallest profile, elsewhere only with the parameter `train`. Each parameter
    goes to the notebooks that take it. `only` and `start` are numbers of notebooks, such as "03".

    Raises:
        NotebookError: no notebook has a parameter or number, a value is wrong, or a notebook fails.
        SweepError: runs failed; the others are kept.
    """
    notebooks = choose_notebooks(only, start)
    check_parameters(parameters or {})
    given = {"train": profile == PROFILES[0]} | (parameters or {}) | {"profile": profile}
    folders = {"data_dir": data_dir, "results": results}
    given |= {name: str(Path(folder).resolve()) for name, folder in folders.items() if folder is not None}
    chosen = load_profile(profile, given.get("dataset"))
    target = root() / "reproduced" / profile
    make_folder(target)  # an error after the training would be late
    without = {each.notebook for each in chosen.experiments.values()}
    without -= {each.notebook for each in chosen.experiments.values() if each.runs}
    if skipped := [_number(path) for path in notebooks if path.stem in without]:
        print(f"skipped, because {profile} does not train their runs: {', '.join(skipped)}")
    notebooks = [path for path in notebooks if path.stem not in without]
    names = {path.stem for path in notebooks}
    shown = {name: each for name, each in chosen.experiments.items() if each.notebook in names}
    runs = dataclasses.replace(chosen, experiments=shown).runs(seeds=given.get("seeds"))
    store = Store(results_dir(given.get("results")) / chosen.name)
    if given["train"]:
        sweep(runs, Plan(store, given.get("data_dir"), jobs, chosen.threads, lines=False))
    for path in _under_a_bar(notebooks):
        copy = target / path.name
        notebook = _execute(path, {name: given[name] for name in given if name in _parameters_of(path)}, copy)
        _write(copy, notebook)
        atomic_write(copy.with_suffix(".html"), HTMLExporter().from_notebook_node(notebook)[0].encode())
    if notebooks:
        print(f"executed copies and HTML are in {target}")


def render_notebooks(only: Collection[str] = (), start: str | None = None) -> None:
    """Execute notebooks in place with their default parameters, and update the generated pages."""
    for path in _under_a_bar(choose_notebooks(only, start)):
        notebook = _execute(path, {})
        for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
            if image := output.get("data", {}).get("image/png"):
                output.data["image/png"] = base64.b64encode(small_png(base64.b64decode(image))).decode()
        _write(path, notebook)
    update_pages()


def choose_notebooks(only: Collection[str] = (), start: str | None = None) -> list[Path]:
    """Return the notebooks with the given numbers, such as "03", from a number on; by default all."""
    paths = notebook_paths()
    numbers = [_number(path) for path in paths]
    for number in [*only, *([] if start is None else [start])]:
        if number not in numbers:
            raise NotebookError(f"no notebook has the number {number!r}: choose from {', '.join(numbers)}")
    chosen = [path for path in paths if (not only or _number(path) in only) and _number(path) >= (start or "")]
    if not chosen:
        raise NotebookError(f"notebook {', '.join(only)} comes before --from {start}: drop one of the two")
    return chosen


def notebook_paths() -> list[Path]:
    """Return the notebooks of the checkout in the order of their numbers."""
    paths = sorted((root() / "notebooks").glob("*.ipynb"))
    if not paths:
        raise NotebookError(f"no notebooks in {root() / 'notebooks'}: run this in a checkout of the project")
    return paths


def check_parameters(parameters: dict[str, Any]) -> None:
    """Raise NotebookError if no notebook takes a parameter, or that or SpecError if its value is of the wrong type."""
    known = set().union(*map(_parameters_of, notebook_paths())) - {"profile"}  # an argument of its own
    if unknown := set(parameters) - known:
        names, allowed = (", ".join(sorted(each)) for each in (unknown, known))
        raise NotebookError(f"no notebook has the parameter {names}: choose from {allowed}; --profile sets the profile")
    if parameters.get("seeds") is not None:
        checked_seeds(parameters["seeds"])
    if not isinstance(parameters.get("train", False), bool):
        raise NotebookError(f"the parameter train is {parameters['train']!r}: it must be true or false")
    for name in ("dataset", "data_dir", "results"):
        if not isinstance(parameters.get(name), str | None):
            raise NotebookError(f"the parameter {name} is {parameters[name]!r}: it must be text")


@functools.cache  # asked for the checks and for the execution
def _parameters_of(path: Path) -> set[str]:
    return set(papermill.inspect_notebook(path))


def _number(path: Path) -> str:
    return path.stem.partition("_")[0]


def _under_a_bar(paths: list[Path]) -> Iterator[Path]:
    """Yield each notebook to be executed, and write a line when it was."""
    with contextlib.closing(progress_bar(len(paths))) as bar:
        bar.set_description_str(f"0 of {len(paths)} notebooks", refresh=False)
        for done, path in enumerate(paths, start=1):
            bar.set_postfix_str(path.stem)
            started = time.perf_counter()
            yield path
            bar.n = done
            bar.set_description_str(f"{done} of {len(paths)} notebooks", refresh=False)
            bar.write(f"{path.name:40} {time.perf_counter() - started:6.1f} s", file=sys.stdout)


def _execute(path: Path, parameters: dict[str, Any], failed: Path | None = None) -> NotebookNode:
    """Return an executed notebook, cleaned; if it fails, write how far it came to the file `failed`."""
    executed: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name  # papermill writes in place, and after every cell
        options = OPTIONS | {"on_cell_execute": lambda **cell: executed.append(cell)}
        try:
            papermill.execute_notebook(path, copy, parameters, **options)
        except (PapermillExecutionError, RuntimeError, TimeoutError, OSError) as error:
            place = f"{path.name}, cell {len(executed)}" if executed else path.name
            message = f"{place}: {error}: is there enough memory and disk space?"  # the kernel died or did not start
            if isinstance(error, PapermillExecutionError):
                message = f"{place}: {error.ename}: {error.evalue}"
            if failed and copy.exists():
                _write(failed, clean(nbformat.read(copy, as_version=4)))
                failed.with_suffix(".html").unlink(missing_ok=True)  # of an earlier execution
                message += f" ({failed} has its output; --from {_number(path)} resumes here)"
            raise NotebookError(message) from error
        except KeyboardInterrupt as interrupt:
            logging.getLogger("asyncio").disabled = True  # it would print a traceback of nbclient's unfinished task
            gc.freeze()  # a kernel that was still starting ends after this process, which would collect for seconds
            message = f"interrupted, {path.name} under way; --from {_number(path)} resumes here"
            raise type(interrupt)(message) from None
        return clean(nbformat.read(copy, as_version=4))


def clean(notebook: NotebookNode) -> NotebookNode:
    """Remove what differs between executions: times and paths, progress bars, warnings, widgets."""
    notebook.metadata = NotebookNode(kernelspec=notebook.metadata.kernelspec, language_info={"name": "python"})
    for cell in notebook.cells:
        cell.metadata = NotebookNode({"tags": cell.metadata.tags} if cell.metadata.get("tags") else {})
        if cell.cell_type == "code":
            lasting = (each for each in cell.outputs if WIDGET not in each.get("data", {}))
            cell.outputs = [each for each in lasting if each.get("name") != "stderr"]
    return notebook


def _write(path: Path, notebook: NotebookNode) -> None:
    atomic_write(path, (nbformat.writes(notebook) + "\n").encode())
