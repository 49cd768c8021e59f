"""`python -m dynprune_lib` is the command `dynprune`, also from a plain checkout."""

import sys
from pathlib import Path

from dynprune_lib import stopping


def main() -> None:
    """Run the command line. An interrupt while its modules are imported ends it without a traceback."""
    sys.path.append(str(Path.cwd()))  # for a sampler of your own, module:Class
    with stopping.leave_at_once():
        from dynprune_lib.cli import app
    stopping.raise_on_sigterm()
    app(prog_name="dynprune")


if __name__ == "__main__":
    main()
