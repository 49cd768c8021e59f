"""What the commands share: types of options, how settings are read, and how errors are reported."""

import ast
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dynprune_lib import stopping
from dynprune_lib.errors import DynpruneError, SpecError
from dynprune_lib.experiments.data import DATASETS
from dynprune_lib.experiments.profile import PROFILES


def names(registry: Iterable[str], *more: str) -> str:
    """Return the help text of an option that takes a name of a registry."""
    return ", ".join([*registry, *more]) + "."


DATASET_NAMES = names(DATASETS, "folder:PATH (images of any size, squashed to 32 x 32)")
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data sets. Default: DYNPRUNE_DATA or data/.")]
Results = Annotated[Path | None, typer.Option(help="Folder of the run records. Default: results/.")]
ProfileName = Annotated[str, typer.Argument(help=names(PROFILES))]
Experiment = Annotated[str | None, typer.Option(help="Only the runs of this experiment.")]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="Only this seed; may be repeated.")]


@contextlib.contextmanager
def report_user_errors() -> Iterator[None]:
    """Report what a user did or can fix in one line, without a traceback."""
    try:
        with stopping.raised():
            yield
            sys.stdout and sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        _stop(str(interrupt) or "interrupted", stopping.exit_code(interrupt))
    except BrokenPipeError:  # the reader of the output has stopped reading
        _discard_output()
        sys.exit(1)
    except DynpruneError as error:
        _stop(str(error))
    except OSError as error:
        _discard_output()
        _stop(f"{error.filename or 'the output'} cannot be read or written: {error.strerror or error}")
    except ModuleNotFoundError as error:
        extra = "cluster" if error.name == "submitit" else "notebooks"
        _stop(f"{error.name} is not installed: pip install -e '.[{extra}]' in the checkout")


def _stop(message: str, code: int = 1) -> NoReturn:
    typer.echo(f"dynprune: {message}", err=True)
    sys.exit(code)


def _discard_output() -> None:
    """Keep the interpreter from trying again, at its end, to write what cannot be written."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


JSON = {"true": True, "false": False, "null": None}  # as in a notebook's parameters; numbers and lists are Python's


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Read `name=value` words.

    Example:
        >>> parse_settings(["c=1e-3", "epsilon=.2", "seeds=[0, 1]", "of=ucb", "fill=false", "rescale=True"])
        {'c': 0.001, 'epsilon': 0.2, 'seeds': [0, 1], 'of': 'ucb', 'fill': False, 'rescale': True}
    """
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SpecError(f"{pair!r} is not a setting: write name=value")
        try:
            settings[name] = JSON[value] if value in JSON else ast.literal_eval(value)
        except (ValueError, SyntaxError):  # text needs no quotes
            settings[name] = value
    return settings
