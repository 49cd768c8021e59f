"""Data sets as uint8 tensors that live on the training device.

`load_dataset` reads `digits`, `cifar10`, `cifar100`, `fashion_mnist` and `folder:PATH`; it never downloads
(`download` does) and raises DataError, which names the file and the remedy, for whatever is missing or damaged.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dynprune_lib.errors import DataError
from dynprune_lib.paths import data_dir as default_data_dir
from dynprune_lib.vision import torchvision_datasets

DATASETS = ("digits", "cifar10", "cifar100", "fashion_mnist", "folder:PATH")
TITLES = {"digits": "digits (8x8)", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "fashion_mnist": "Fashion-MNIST"}
FOLDER_SIZE = 32  # height and width that the images of a folder are resized to
SUFFIXES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class Split:
    """Images (N, height, width, channels) uint8, as the augmentation reads them, and labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """A data set on one device, and how its training images may be varied.

    `mean` and `std` (channels,) are of the training pixels in [0, 255]; `pad` is the padding in pixels for random
    crops; `flip` says whether a mirrored image is still of its class; `md5` is of all the images and labels.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    mean: Tensor
    std: Tensor
    pad: int
    flip: bool
    md5: str

    @property
    def device(self) -> torch.device:
        """The device of all its tensors."""
        return self.train.labels.device


def load_dataset(name: str, data_dir: str | Path | None = None, device: torch.device | str = "cpu") -> ImageData:
    """Reads a data set, checks it and puts it on `device`.

    Args:
        name: one of DATASETS; `folder:PATH` has PATH/train/CLASS/*.png|jpg and PATH/test/CLASS/*.png|jpg.
        data_dir: where torchvision's layouts lie; by default DYNPRUNE_DATA or `data` in the checkout.

    Raises:
        DataError: the name is unknown, or a file is missing, damaged or unreadable.
    """
    root = default_data_dir(data_dir)
    if name == "digits":
        classes, train, test, pad, flip = *_read_digits(), 1, False
    elif name in ("cifar10", "cifar100"):
        classes, train, test, pad, flip = *_read_cifar(name, root), 4, True
    elif name == "fashion_mnist":
        classes, train, test, pad, flip = *_read_fashion_mnist(root), 2, True
    elif name.startswith("folder:"):
        classes, train, test, pad, flip = *_read_folder(Path(name.removeprefix("folder:")).expanduser()), 4, True
    else:
        raise DataError(f"unknown data set {name!r}: there are {', '.join(DATASETS)}")
    mean, std = _pixel_statistics(train.images)
    train, test = (Split(part.images.to(device), part.labels.to(device)) for part in (train, test))
    return ImageData(name, classes, train, test, mean.to(device), std.to(device), pad, flip, _md5(train, test))


def dataset_title(name: str) -> str:
    """How a caption names a data set: a folder by its own name."""
    return TITLES.get(name) or Path(name.removeprefix("folder:")).name


def download(name: str, data_dir: str | Path | None = None) -> None:
    """Downloads a data set of torchvision's where it is not whole; `digits` and folders need none."""
    if name in ("cifar10", "cifar100", "fashion_mnist"):
        _torchvision_class(name)(default_data_dir(data_dir), download=True)


def _read_digits() -> tuple[tuple[str, ...], Split, Split]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    parts = train_test_split(images, digits.target, test_size=360, stratify=digits.target, random_state=0)
    train_images, test_images, train_labels, test_labels = parts
    return tuple("0123456789"), _split(train_images, train_labels), _split(test_images, test_labels)


def _read_cifar(name: str, root: Path) -> tuple[tuple[str, ...], Split, Split]:
    source = _torchvision_class(name)
    listed = [*source.train_list, *source.test_list, [source.meta["filename"], source.meta["md5"]]]
    for filename, md5 in listed:
        _check_file(root / source.base_folder / filename, md5, name)
    train, test = source(root, train=True), source(root, train=False)
    return tuple(train.classes), _split(train.data, train.targets), _split(test.data, test.targets)


def _read_fashion_mnist(root: Path) -> tuple[tuple[str, ...], Split, Split]:
    name = "fashion_mnist"
    source = _torchvision_class(name)
    folder = root / source.__name__ / "raw"
    for archive, md5 in source.resources:
        _check_file(folder / archive, md5, name)
        extracted = folder / archive.removesuffix(".gz")
        if not extracted.is_file() or extracted.read_bytes() != gzip.decompress((folder / archive).read_bytes()):
            raise DataError(f"{extracted} is missing or damaged: remove it, then {_how_to_download(name)}")
    train, test = source(root, train=True), source(root, train=False)
    return tuple(train.classes), *(_split(part.data.unsqueeze(-1), part.targets) for part in (train, test))


def _read_folder(root: Path) -> tuple[tuple[str, ...], Split, Split]:
    classes = _class_names(root / "train")
    if (test_classes := _class_names(root / "test")) != classes:
        odd = sorted(set(classes) ^ set(test_classes))
        raise DataError(f"{root}: train and test must have the same classes, but only one of them has {odd}")
    return classes, *(_read_class_folders(root / part, classes) for part in ("train", "test"))


def _class_names(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not there: a folder data set has train/CLASS/*.png|jpg and test/CLASS/*.png|jpg")
    names = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if len(names) < 2:
        raise DataError(f"{folder} has {len(names)} class folders: at least two are needed")
    return names


def _read_class_folders(folder: Path, classes: tuple[str, ...]) -> Split:
    images, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(file for file in (folder / name).iterdir() if file.suffix.lower() in SUFFIXES)
        if not files:
            raise DataError(f"{folder / name} has no images: put .png or .jpg files there, or remove the class")
        images += [_read_image(file) for file in files]
        labels += [label] * len(files)
    return _split(np.stack(images), labels)


def _read_image(file: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB").resize((FOLDER_SIZE, FOLDER_SIZE), Image.Resampling.BILINEAR))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{file} cannot be read as an image ({error}): repair or remove it") from error


def _torchvision_class(name: str) -> type:
    datasets = torchvision_datasets()
    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "fashion_mnist": datasets.FashionMNIST}[name]


def _check_file(path: Path, md5: str, name: str) -> None:
    if not path.is_file():
        raise DataError(f"{path} is missing: {_how_to_download(name)}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "md5").hexdigest() != md5:
            raise DataError(f"{path} is damaged (its md5 is not {md5}): remove it, then {_how_to_download(name)}")


def _how_to_download(name: str) -> str:
    return f"run `dynprune data {name} --download`, or name the folder that has it by --data-dir or DYNPRUNE_DATA"


def _split(images: np.ndarray | Tensor, labels: np.ndarray | Tensor | list[int]) -> Split:
    return Split(torch.as_tensor(images).contiguous(), torch.as_tensor(labels, dtype=torch.int64))


def _pixel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, by counting: exact, and no copy of the images as floats."""
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(-1)]).double()
    share, value = counts / counts.sum(1, keepdim=True), torch.arange(256)
    mean = (share * value).sum(1)
    variance = (share * (value - mean[:, None]).square()).sum(1)
    return mean.float(), variance.sqrt().float()


def _md5(*splits: Split) -> str:
    digest = hashlib.md5()
    for split in splits:
        for tensor in (split.images, split.labels):
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
