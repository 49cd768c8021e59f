"""Data sets of the user's own images: PATH/train/CLASS/... and PATH/test/CLASS/..., as RGB of SIZE x SIZE pixels."""

import contextlib
import hashlib
import io
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageOps

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.errors import DataError, StoreError
from dynprune_lib.files import atomic_write
from dynprune_lib.paths import cache_folder

SIZE = 32  # height and width of the images in memory


def read_image_folder(root: Path) -> tuple[tuple[str, ...], Any, Any]:
    """Return the class names, and of both parts the images (N, SIZE, SIZE, 3) uint8 and their class indices."""
    found = {}
    for folder in (root.resolve() / "train", root.resolve() / "test"):
        try:
            found[folder.name] = torchvision_datasets().ImageFolder(folder, is_valid_file=_is_image)
        except FileNotFoundError as error:  # no folder, no class in it, or a class without images
            raise DataError(f"{folder}: {error.strerror or error}: put images there, one folder a class") from error
    train, test = found.values()
    if odd := sorted(set(train.classes) ^ set(test.classes)):
        raise DataError(f"{root}: train and test must have the same classes, but only one of them has {odd}")
    if len(train.classes) < 2:
        raise DataError(f"{root} has only the class {train.classes[0]}: add a second one")
    images = _read([Path(path) for path, _ in train.samples + test.samples])
    first, second = np.split(images, [len(train)])
    return tuple(train.classes), (first, train.targets), (second, test.targets)


def _is_image(path: str) -> bool:
    is_hidden = Path(path).name.startswith(".")  # as what macOS leaves next to each file
    return not is_hidden and torchvision_datasets().folder.is_image_file(path)


def _read(files: list[Path]) -> np.ndarray:
    """Return the images, decoded again only if a file has changed, or where there can be no cache."""
    cache = None
    with contextlib.suppress(Exception):  # there is no folder for it, no file, or a damaged one
        listed = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        key = hashlib.sha256(repr((SIZE, PIL.__version__, listed)).encode()).hexdigest()
        cache = cache_folder() / "folders" / f"{key}.npz"
        with np.load(cache) as stored:
            return stored["images"]
    with ThreadPool() as pool:  # Pillow decodes without Python's lock
        decoded: list = pool.map(_decode, files)
    if bad := [f"{path} ({each!r})" for path, each in zip(files, decoded, strict=True) if isinstance(each, Exception)]:
        more = f", and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise DataError(
            f"cannot read {len(bad)} of {len(files)} images, repair or remove them: {', '.join(bad[:3])}{more}"
        )
    images, content = np.stack(decoded), io.BytesIO()
    np.savez(content, images=images)  # a zip file: it has a checksum
    with contextlib.suppress(StoreError):
        if cache:
            atomic_write(cache, content.getvalue())
    return images


def _decode(file: Path) -> np.ndarray | Exception:
    """Return an image, upright and squashed to a square, or what is wrong with the file."""
    try:
        with Image.open(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
                raise ValueError(f"32-bit values (mode {image.mode}) have no known range, save them with 8 or 16 bits")
            deep = image.mode[0] == "I"  # 16 bits, which `convert` would clip at 255
            pixels = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8)) if deep else image
            return np.asarray(pixels.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    except Exception as error:  # decoders meet damaged files in many ways
        return error
