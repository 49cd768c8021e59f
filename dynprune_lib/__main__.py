"""`python -m dynprune_lib` is the command `dynprune`, also from a plain checkout."""

from dynprune_lib.cli import app

if __name__ == "__main__":
    app(prog_name="dynprune")
