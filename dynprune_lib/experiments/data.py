"""Data sets as uint8 tensors that live on the training device.

`load_dataset` never downloads (`download` does) and raises DataError, which names the file and the remedy, for whatever
is missing or damaged.
"""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.errors import DataError, SpecError
from dynprune_lib.experiments.image_folder import read_image_folder
from dynprune_lib.paths import data_dir as default_data_dir
from dynprune_lib.paths import expand

FOLDER = "folder:"  # prefix of the name of an image folder


@dataclass(frozen=True)
class Split:
    """Training or test part of a data set.

    Args:
        images: (N, height, width, channels) uint8.
        labels: (N,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """A data set on one device, and how its training images are augmented.

    Args:
        name: as passed to `load_dataset`.
        classes: their names, in the order of the labels.
        train: training part.
        test: test part.
        mean: (channels,) mean of the training pixels, in [0, 255].
        std: (channels,) their standard deviation.
        pad: padding of random crops, in pixels.
        flip: whether a mirrored image still belongs to its class.
        md5: of all images and labels.
        wrong: (N,) bool on the CPU, the training samples whose labels were replaced by `add_label_noise`; else None.
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
    wrong: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """The device of all its tensors."""
        return self.train.labels.device


Parts = tuple[tuple[str, ...], Split, Split]  # classes, training and test part


@dataclass(frozen=True)
class Dataset:
    """What there is to know of a data set before it is read.

    Args:
        title: name in captions.
        read: function of the folder of all data sets that returns classes, training and test part.
        pad: padding of random crops, in pixels.
        flip: whether a mirrored image still belongs to its class.
        download: function of that folder. Default: None, there is nothing to download.
    """

    title: str
    read: Callable[[Path], Parts]
    pad: int
    flip: bool
    download: Callable[[Path], None] | None = None


def load_dataset(name: str, data_dir: str | Path | None = None, device: torch.device | str = "cpu") -> ImageData:
    """Read a data set, check it and put it on `device`.

    Args:
        name: name in DATASETS, or `folder:PATH` with images in PATH/train/CLASS/ and PATH/test/CLASS/, of any size:
            they are squashed to 32 x 32, see `read_image_folder`.
        data_dir: folder with torchvision's layouts. Default: DYNPRUNE_DATA, else `data` in the checkout.
        device: of all tensors. Default: the CPU.

    Raises:
        DataError: the name is unknown, or a file is missing, damaged or unreadable.

    Example:
        >>> digits = load_dataset("digits")
        >>> tuple(digits.train.images.shape), len(digits.test), digits.device.type
        ((1437, 8, 8, 1), 360, 'cpu')
    """
    dataset = _find(name)
    try:
        classes, train, test = dataset.read(default_data_dir(data_dir))
    except OSError as error:
        place, reason = error.filename or name, error.strerror or error
        raise DataError(f"cannot read {place} ({reason}): correct the path or its permissions, or remove it") from error
    mean, std = _pixel_statistics(train.images)
    train, test = (Split(part.images.to(device), part.labels.to(device)) for part in (train, test))
    return ImageData(
        name=name,
        classes=classes,
        train=train,
        test=test,
        mean=mean.to(device),
        std=std.to(device),
        pad=dataset.pad,
        flip=dataset.flip,
        md5=_md5(train, test),
    )


def hold_out(data: ImageData, count: int) -> ImageData:
    """Return the data set with some training samples, drawn at random but always the same, in place of the test part.

    Args:
        data: the data set.
        count: number of samples to hold out.

    Raises:
        SpecError: nothing would be left to train on.

    Example:
        >>> held_out = hold_out(load_dataset("digits"), 100)
        >>> len(held_out.train), len(held_out.test)
        (1337, 100)
    """
    if count >= len(data.train):
        raise SpecError(f"validation is {count}: {data.name} has {len(data.train)} training samples, hold out fewer")
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0)).to(data.device)
    held, kept = order[:count], order[count:].sort().values
    train, test = (Split(data.train.images[index], data.train.labels[index]) for index in (kept, held))
    return replace(data, train=train, test=test)


def dataset_title(name: str) -> str:
    """Return the name of a data set in captions, for an image folder its own name."""
    return _find(name).title


def download(name: str, data_dir: str | Path | None = None) -> None:
    """Download a data set of torchvision unless all its files are whole; other data sets need no download.

    Raises:
        DataError: the name is unknown, the network does not reach the files, or the folder cannot be written.
    """
    if fetch := _find(name).download:
        fetch(default_data_dir(data_dir))


def _find(name: str) -> Dataset:
    if name in DATASETS:
        return DATASETS[name]
    if name.startswith(FOLDER):
        path = expand(name.removeprefix(FOLDER) or ".")
        return Dataset(path.name, lambda _: _read_folder(path), pad=4, flip=True)
    raise DataError(f"unknown data set {name!r}: there are {', '.join([*DATASETS, FOLDER + 'PATH'])}")


def _read_digits(_: Path) -> Parts:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    parts = train_test_split(images, digits.target, test_size=360, stratify=digits.target, random_state=0)
    train_images, test_images, train_labels, test_labels = parts
    return tuple("0123456789"), _split(train_images, train_labels), _split(test_images, test_labels)


def _read_cifar(name: str, root: Path) -> Parts:
    _check_files(name, root)  # before torchvision unpickles them
    source = _torchvision_class(name)
    train, test = source(root, train=True), source(root, train=False)
    return tuple(train.classes), _split(train.data, train.targets), _split(test.data, test.targets)


def _read_fashion_mnist(root: Path) -> Parts:
    _check_files("fashion_mnist", root)
    # not with torchvision's class, which reads extracted or processed files that nobody has checked
    train_images, train_labels, test_images, test_labels = (
        np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8) for path, _ in _listed_files("fashion_mnist", root)
    )
    train, test = (
        _split(images[16:].reshape(-1, 28, 28, 1).copy(), labels[8:].astype(np.int64))  # each follows its header
        for images, labels in ((train_images, train_labels), (test_images, test_labels))
    )
    return tuple(_torchvision_class("fashion_mnist").classes), train, test


def _read_folder(path: Path) -> Parts:
    classes, parts = read_image_folder(path)
    return classes, _split(*parts["train"]), _split(*parts["test"])


def _download_cifar(name: str, root: Path) -> None:
    source = _torchvision_class(name)
    _download(name, root, root, [(source.url, source.tgz_md5)])


def _download_fashion_mnist(root: Path) -> None:
    source = _torchvision_class("fashion_mnist")
    archives = [(source.mirrors[0] + filename, md5) for filename, md5 in source.resources]
    _download("fashion_mnist", root, _fashion_mnist_folder(root), archives)


def _download(name: str, root: Path, folder: Path, archives: list[tuple[str, str]]) -> None:
    try:
        if not all(_is_whole(path, md5) for path, md5 in _listed_files(name, root)):
            for address, md5 in archives:
                torchvision_datasets().utils.download_and_extract_archive(address, folder, md5=md5)
    except (OSError, HTTPException, RuntimeError) as error:
        raise DataError(
            f"cannot download {archives[0][0]} to {folder} ({error}): check the network and that the folder can be"
            " written, or name the folder that has the data set by --data-dir or DYNPRUNE_DATA"
        ) from error


def _torchvision_class(name: str) -> Any:
    datasets = torchvision_datasets()
    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "fashion_mnist": datasets.FashionMNIST}[name]


def _fashion_mnist_folder(root: Path) -> Path:
    return root / "FashionMNIST" / "raw"


def _listed_files(name: str, root: Path) -> list[tuple[Path, str]]:
    """Return the files that a data set of torchvision is read from, each with its published md5."""
    source = _torchvision_class(name)
    if name == "fashion_mnist":
        return [(_fashion_mnist_folder(root) / filename, md5) for filename, md5 in source.resources]
    listed = [*source.train_list, *source.test_list, [source.meta["filename"], source.meta["md5"]]]
    return [(root / source.base_folder / filename, md5) for filename, md5 in listed]


def _check_files(name: str, root: Path) -> None:
    for path, md5 in _listed_files(name, root):
        if not path.is_file():
            raise DataError(f"{path} is missing: {_how_to_download(name)}")
        if not _is_whole(path, md5):
            raise DataError(f"{path} is damaged (its md5 is not {md5}): remove it, then {_how_to_download(name)}")


def _is_whole(path: Path, md5: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == md5


def _how_to_download(name: str) -> str:
    return f"run `dynprune data {name} --download`, or name the folder that has it by --data-dir or DYNPRUNE_DATA"


def _split(images: np.ndarray | Tensor, labels: np.ndarray | Tensor | list[int]) -> Split:
    return Split(torch.as_tensor(images).contiguous(), torch.as_tensor(labels, dtype=torch.int64))


def _pixel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel, by counting: exact, without a float copy of the images."""
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


DATASETS = {
    "digits": Dataset("digits (8x8)", _read_digits, pad=1, flip=False),
    "cifar10": Dataset("CIFAR-10", partial(_read_cifar, "cifar10"), 4, True, partial(_download_cifar, "cifar10")),
    "cifar100": Dataset("CIFAR-100", partial(_read_cifar, "cifar100"), 4, True, partial(_download_cifar, "cifar100")),
    "fashion_mnist": Dataset("Fashion-MNIST", _read_fashion_mnist, 2, True, _download_fashion_mnist),
}
