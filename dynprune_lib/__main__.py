"""`python -m dynprune_lib` is the command `dynprune`, also from a plain checkout."""

import sys
from pathlib import Path

from dynprune_lib import stopping


def main() -> None:
    """Run the command line."""
    sys.path.append(str(Path.cwd()))  # for a sampler of your own, module:Class
    stopping.leave_at_once()  # while modules are imported, and at the end; a command stops in its own way
    from dynprune_lib.cli import app

    app(prog_name="dynprune")


if __name__ == "__main__":
    main()
