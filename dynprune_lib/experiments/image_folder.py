"""Data sets of the user's own images: PATH/train/CLASS/... and PATH/test/CLASS/..., as RGB of SIZE x SIZE pixels.

Decoded images are cached: the next process, and the next run, reads one file instead of many.
"""

import contextlib
import hashlib
import json
import os
import stat
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import filelock
import numpy as np
import PIL
from PIL import Image

from dynprune_lib.errors import DataError, PrivateFolderError, SpecError, StoreNotWritable
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import private_folder

SIZE = 32  # height and width of the images in memory
CHUNK = 64  # images that a thread decodes at a time
CACHE_BYTES = 4 * 2**30  # of all cached data sets together
CHECKSUM = hashlib.sha256().digest_size  # bytes before the pixels in a cache file
NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # formats that Pillow alone identifies but does not decode
LAYOUT = "a folder data set has train/CLASS/ and test/CLASS/ with images"


@dataclass(frozen=True)
class Part:
    """The images of `train` or `test`: `files`, the class index of each in `labels`, and the files left out."""

    files: list[Path]
    labels: list[int]
    left_out: list[Path]


def read_image_folder(root: Path) -> tuple[tuple[str, ...], dict[str, tuple[np.ndarray, list[int]]]]:
    """Read an image folder, from the cache where its files have not changed.

    Every format that Pillow decodes is read, also in subfolders of a class; of an animation, the first frame. Hidden
    files and folders are ignored. A warning says how many other files were left out.

    Args:
        root: folder with `train/CLASS` and `test/CLASS`, the same classes in both.

    Returns:
        The class names, and for `train` and `test` the images (N, SIZE, SIZE, 3) uint8 and their class indices.

    Raises:
        DataError: a folder is missing or a file cannot be read as an image.
    """
    classes = _class_names(root / "train")
    if (test_classes := _class_names(root / "test")) != classes:
        odd = sorted(set(classes) ^ set(test_classes))
        raise DataError(f"{root}: train and test must have the same classes, but only one of them has {odd}")
    parts = {name: _list_part(root / name, classes) for name in ("train", "test")}
    if left_out := [file for part in parts.values() for file in part.left_out]:
        warnings.warn(
            f"{root}: {len(left_out)} files were left out, such as {left_out[0]}: Pillow has no decoder for files of"
            " such a name, or they are in no class folder",
            stacklevel=2,
        )
    train, test = parts.values()
    images = _cached(root, [*train.files, *test.files])
    return classes, {
        "train": (images[: len(train.files)], train.labels),
        "test": (images[len(train.files) :], test.labels),
    }


def _class_names(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not there: {LAYOUT}")
    names = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if len(names) < 2:
        raise DataError(f"{folder} has {len(names)} class folders: at least two are needed")
    return names


def _list_part(folder: Path, classes: tuple[str, ...]) -> Part:
    loose = sorted(entry for entry in folder.iterdir() if not entry.is_dir() and entry.name[0] != ".")
    part = Part([], [], loose)
    for label, name in enumerate(classes):
        before = len(part.files)
        for file in _walk(folder / name):
            (part.files if file.suffix.lower() in _suffixes() else part.left_out).append(file)
        count = len(part.files) - before
        if not count:
            raise DataError(f"{folder / name} has no images: put some there, or remove the class")
        part.labels.extend([label] * count)
    return part


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below it, in a fixed order, without hidden ones; links are followed."""
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            raise DataError(f"{parent} is a link to {real}, whose images are in the class already: remove the link")
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != ".")
        yield from (Path(parent, name) for name in sorted(names) if name[0] != ".")


def _raise(error: OSError) -> None:
    raise error


@cache
def _suffixes() -> set[str]:
    formats = Image.registered_extensions()  # loads Pillow's plugins
    return {suffix for suffix, name in formats.items() if name in Image.OPEN and name not in NOT_DECODED}


def _cached(root: Path, files: list[Path]) -> np.ndarray:
    """Return the images of `files`, decoded at most once: other processes that need them wait. No cache is no error."""
    key = _digest(root, files)
    with contextlib.ExitStack() as held:
        try:
            cache_file = private_folder("folders") / f"{key}.images"
            held.enter_context(filelock.FileLock(cache_file.with_name("lock")))
        except (PrivateFolderError, OSError, NotImplementedError):
            return _decode(files)
        images = _read_cache(cache_file, len(files))
        if images is None:
            images = _decode(files)
            _write_cache(cache_file, images)
        return images


def _digest(root: Path, files: list[Path]) -> str:
    """Return what changes with any file and with how images are decoded."""
    listed = [(str(file.relative_to(root)), *_identity(file)) for file in files]
    made_by = (SIZE, PIL.__version__, str(root.resolve()))
    return hashlib.sha256(json.dumps([made_by, listed]).encode()).hexdigest()


def _identity(file: Path) -> tuple[int, ...]:
    """Return what changes with a file's content: a copy may have the size and the time of the file it replaces, but
    not its time of change."""
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{file} is not a regular file: remove it")  # to open a pipe would wait for a writer
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read_cache(cache_file: Path, count: int) -> np.ndarray | None:
    try:
        content = np.fromfile(cache_file, np.uint8)
    except OSError:
        return None
    checksum, pixels = content[:CHECKSUM], content[CHECKSUM:]
    if checksum.tobytes() != hashlib.sha256(pixels.data).digest():
        return None
    return pixels.reshape(count, SIZE, SIZE, 3)


def _write_cache(cache_file: Path, images: np.ndarray) -> None:
    if images.nbytes > CACHE_BYTES:
        return
    with contextlib.suppress(StoreNotWritable, OSError):
        atomic_write(cache_file, hashlib.sha256(images.data).digest() + images.tobytes())
        total = 0
        for file in sorted(cache_file.parent.glob("*.images*"), key=lambda file: file.stat().st_mtime, reverse=True):
            total += file.stat().st_size
            if total > CACHE_BYTES:
                file.unlink()


def _decode(files: list[Path]) -> np.ndarray:
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    with ThreadPoolExecutor(_num_cores()) as pool:  # Pillow decodes without Python's lock
        return np.concatenate(list(pool.map(_decode_chunk, chunks)))


def _num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode_chunk(files: list[Path]) -> np.ndarray:
    return np.stack([decode_image(file) for file in files])


def decode_image(file: Path) -> np.ndarray:
    """Return an image as (SIZE, SIZE, 3) uint8, squashed to a square.

    Raises:
        DataError: the file is not a whole image, is too large, or has no known range of values.
    """
    try:
        with Image.open(file) as image:
            return np.asarray(_eight_bits(image).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    except Exception as error:  # decoders of many formats meet damaged files in many ways
        raise DataError(f"{file} cannot be read as an image ({error}): repair or remove it") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey values to 8 bits, which Pillow's `convert` would clip at 255."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.mode in ("I", "F"):
        raise SpecError(f"32-bit values (mode {image.mode}) have no known range, save them with 8 or 16 bits")
    return image
