"""Progress of the execution of notebooks: one bar for all of them, and one line per notebook."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import nbformat
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from dynprune_lib.errors import NotebookError
from dynprune_lib.experiments.schedule import progress_bar

OnCellStart = Callable[[NotebookNode, int], None]  # called with a cell and its place in the notebook


class NotebookProgress:
    """Progress bar over notebooks, on stderr, and a line per executed notebook, on stdout.

    Args:
        count: number of notebooks to execute.
    """

    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0
        self._bar = progress_bar(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    @contextlib.contextmanager
    def of(self, path: Path) -> Iterator[OnCellStart]:
        """Show the progress of one notebook: yield the function that is to be called before each of its cells.

        Raises:
            NotebookError: a cell failed, or the kernel died or did not answer; the message has the number that
                Jupyter shows of the cell, and the cause.
        """
        cells = sum(is_executed(cell) for cell in nbformat.read(path, as_version=4).cells)
        started, number = time.perf_counter(), 0
        self._show(path.stem, 0)

        def on_cell_start(cell: NotebookNode, cell_index: int) -> None:  # noqa: ARG001 (nbclient passes both by name)
            nonlocal number
            number += is_executed(cell)
            self._show(f"{path.stem}, cell {number}", number / (cells + 2))  # papermill may add one with the parameters

        try:
            yield on_cell_start
        except (PapermillExecutionError, CellExecutionError) as error:
            raise NotebookError(f"{path.name}, cell {number}: {error.ename}: {error.evalue}") from error
        except (RuntimeError, TimeoutError, OSError) as error:  # from nbclient: the kernel died or did not start
            place = f"{path.name}, cell {number}" if number else path.name
            raise NotebookError(f"{place}: {error}: is there enough memory and disk space?") from error
        self._done += 1
        self._bar.write(f"{path.name:40} {time.perf_counter() - started:6.1f} s", file=sys.stdout)

    def _show(self, text: str, share: float) -> None:
        self._bar.set_description_str(f"{self._done} of {self._count} notebooks", refresh=False)
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.n = self._done + share
        self._bar.refresh()


def is_executed(cell: NotebookNode) -> bool:
    """Return whether a cell has code, so that Jupyter gives it a number."""
    return cell.cell_type == "code" and bool(cell.source.strip())
