"""`python -m dynprune_lib` is the command `dynprune`, also from a plain checkout."""

import signal


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # before anything is imported: an interrupt shows no traceback
    import sys
    from pathlib import Path

    from dynprune_lib import stopping

    sys.path.append(str(Path.cwd()))  # for a sampler of your own, module:Class
    stopping.leave_at_once()  # while modules are imported, and at the end; a command stops in its own way
    try:
        from dynprune_lib.cli import app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dynprune_lib"):
            raise
        sys.exit(f"dynprune: {error.name} is not installed: pip install '.[experiments]' in the checkout")
    app(prog_name="dynprune")


if __name__ == "__main__":
    main()
