"""The golden net: what no step may change without saying so. `python -m tests.golden PART` writes a part anew."""

from pathlib import Path

FOLDER = Path(__file__).parent


def read(name):
    """Return the lines of a golden file."""
    return (FOLDER / name).read_text().splitlines()
