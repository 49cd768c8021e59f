"""Data sets as tensors on the training device. Nothing is downloaded on reading; DataError names the file and the
remedy."""

import gzip
import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynprune_lib.errors import DataError, SpecError
from dynprune_lib.experiments.image_folder import read_image_folder
from dynprune_lib.experiments.public_files import download_files, read_files, torchvision_class
from dynprune_lib.experiments.tabular import TABLES
from dynprune_lib.experiments.text import QUESTION_TYPES, known_words, parse, token_ids, words_of
from dynprune_lib.experiments.transformer import SHA256, pretrained_file, word_pieces
from dynprune_lib.paths import data_dir as default_data_dir
from dynprune_lib.paths import expand

FOLDER = "folder:"  # prefix of the name of an image folder


@dataclass(frozen=True)
class Split:
    """Training or test part: `inputs` are images (N, height, width, channels) uint8, rows of a table (N, features)
    float32 or sentences (N, tokens) int64; `labels` (N,) are int64, of a regression float32."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """The inputs of a data set of images."""
        return self.inputs


@dataclass(frozen=True)
class TensorData:
    """A data set on one device.

    Args:
        name: as passed to `load_dataset`.
        classes: their names, in the order of the labels; empty for a regression.
        train: training part.
        test: test part.
        md5: of all inputs and labels.
        wrong: (N,) bool on the CPU, the training samples with labels of `add_label_noise`; else None.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    md5: str
    wrong: Tensor | None = None

    @property
    def device(self) -> torch.device:
        return self.train.labels.device


@dataclass(frozen=True, kw_only=True)
class ImageData(TensorData):
    """A data set of images, and how its training images are augmented.

    Args:
        mean: (channels,) mean of the training pixels, in [0, 255].
        std: (channels,) their standard deviation; 1 if it is 0.
        pad: padding of random crops, in pixels.
        flip: whether a mirrored image still belongs to its class.
    """

    mean: Tensor
    std: Tensor
    pad: int
    flip: bool


Parts = tuple[tuple[str, ...], Any, Any]  # classes; inputs and labels of the training and of the test part


@dataclass(frozen=True)
class Dataset:
    """How to read a data set from a folder; `pad` is None for other inputs than images, `files` a name in
    `public_files`, and `pretrained` says whether it is read as a pretrained model reads it."""

    title: str
    read: Callable[[Path], Parts]
    pad: int | None = None
    flip: bool = False
    files: str = ""
    pretrained: bool = False


def load_dataset(name: str, data_dir: str | Path | None = None, device: torch.device | str = "cpu") -> TensorData:
    """Read a data set, check it and put it on `device`.

    Args:
        name: name in DATASETS, or `folder:PATH` with images in PATH/train/CLASS/ and PATH/test/CLASS/, of any size:
            they are squashed to 32 x 32.
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
        classes, *parts = dataset.read(default_data_dir(data_dir))
    except OSError as error:
        place, reason = error.filename or name, error.strerror or error
        raise DataError(f"cannot read {place} ({reason}): correct the path or its permissions, or remove it") from error
    tensors = [[_tensor(array) for array in part] for part in parts]
    digest = hashlib.md5()
    for tensor in (*tensors[0], *tensors[1]):
        digest.update(tensor.numpy().data)
    train, test = (Split(inputs.to(device), labels.to(device)) for inputs, labels in tensors)
    if dataset.pad is None:
        return TensorData(name, classes, train, test, digest.hexdigest())
    mean, std = (each.to(device) for each in _pixel_statistics(tensors[0][0]))
    look: dict[str, Any] = {"mean": mean, "std": std, "pad": dataset.pad, "flip": dataset.flip}
    return ImageData(name, classes, train, test, digest.hexdigest(), **look)


def hold_out(data: TensorData, count: int) -> TensorData:
    """Return the data set with `count` training samples, random but always the same, in place of the test part."""
    if count >= len(data.train):
        raise SpecError(
            f"validation is {count}: it must be below {len(data.train)}, the training samples of {data.name}"
        )
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0)).to(data.device)
    held, kept = order[:count], order[count:].sort().values
    train, test = (Split(data.train.inputs[index], data.train.labels[index]) for index in (kept, held))
    return replace(data, train=train, test=test)


def dataset_title(name: str) -> str:
    """Return the name of a data set in captions; of an image folder, the folder's."""
    return _find(name).title


def download(name: str, data_dir: str | Path | None = None) -> None:
    """Download a data set unless all its files are whole; image folders and scikit-learn's data sets need none."""
    dataset = _find(name)
    if dataset.files:
        download_files(dataset.files, default_data_dir(data_dir))
    if dataset.pretrained:
        for file in SHA256:
            pretrained_file(file, download=True)


def _find(name: str) -> Dataset:
    if name in DATASETS:
        return DATASETS[name]
    if name.startswith(FOLDER):
        path = expand(name.removeprefix(FOLDER) or ".")
        return Dataset(path.name, lambda _: read_image_folder(path), pad=4, flip=True)
    raise DataError(f"unknown data set {name!r}: there are {', '.join([*DATASETS, FOLDER + 'PATH'])}")


def _read_digits(_: Path) -> Parts:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    parts = train_test_split(images, digits.target, test_size=360, stratify=digits.target, random_state=0)
    return tuple("0123456789"), parts[::2], parts[1::2]


def _read_trec(root: Path) -> Parts:
    train, test = (parse(content) for content in read_files("trec", root))
    known = known_words(words_of(train[0]))
    first, second = ((token_ids(words_of(sentences), known), labels) for sentences, labels in (train, test))
    return QUESTION_TYPES, first, second


def _read_trec_subwords(root: Path) -> Parts:
    train, test = (parse(content) for content in read_files("trec", root))
    inputs = word_pieces(train[0] + test[0]).split([len(train[0]), len(test[0])])
    return QUESTION_TYPES, (inputs[0], train[1]), (inputs[1], test[1])


def _read_sentences(name: str, classes: tuple[str, ...], root: Path) -> Parts:
    """Return a data set without a test part: 2,000 of its sentences, random but always the same, are for testing."""
    sentences, labels = parse(read_files(name, root)[0])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    inputs, targets = word_pieces(sentences)[order], torch.tensor(labels)[order]
    return classes, (inputs[2_000:], targets[2_000:]), (inputs[:2_000], targets[:2_000])


def _read_digit_tokens(root: Path) -> Parts:
    """Return each digit as a sentence: the mean brightness, from 1 to 16, of its 16 squares of 2 x 2 pixels."""
    classes, *parts = _read_digits(root)
    first, second = (
        (images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16).astype(np.int64) // 16 + 1, labels)
        for images, labels in parts
    )
    return classes, first, second


def _read_cifar(name: str, root: Path) -> Parts:
    # not with torchvision's class, which computes the md5 of all files for the training and again for the test part
    *batches, meta = (pickle.loads(content, encoding="latin1") for content in read_files(name, root))
    kind = torchvision_class(name)
    parts = []
    for part in (batches[: len(kind.train_list)], batches[len(kind.train_list) :]):
        images = np.concatenate([batch["data"] for batch in part]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        parts.append((images, [label for batch in part for label in batch.get("labels") or batch["fine_labels"]]))
    return tuple(meta[kind.meta["key"]]), parts[0], parts[1]


def _read_fashion_mnist(root: Path) -> Parts:
    # not with torchvision's class, which reads extracted or processed files that nobody has checked
    contents = [np.frombuffer(gzip.decompress(packed), np.uint8) for packed in read_files("fashion_mnist", root)]
    parts = [(contents[i][16:].reshape(-1, 28, 28, 1), contents[i + 1][8:]) for i in (0, 2)]  # each follows its header
    return tuple(torchvision_class("fashion_mnist").classes), parts[0], parts[1]


def _tensor(array: np.ndarray | Tensor | list[int]) -> Tensor:
    """Return inputs or labels as a tensor; labels of classes, which are not floats, as int64."""
    tensor = torch.as_tensor(np.array(array) if isinstance(array, np.ndarray) else array).contiguous()
    return tensor.long() if tensor.ndim == 1 and not tensor.is_floating_point() else tensor


def _pixel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel, by counting: exact, without a float copy of the images."""
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(-1)]).double()
    share, value = counts / counts.sum(1, keepdim=True), torch.arange(256)
    mean = (share * value).sum(1)
    variance = (share * (value - mean[:, None]).square()).sum(1)
    return mean.float(), torch.where(variance > 0, variance, 1).sqrt().float()


DATASETS = {
    "digits": Dataset("digits (8x8)", _read_digits, pad=1),
    "cifar10": Dataset("CIFAR-10", partial(_read_cifar, "cifar10"), pad=4, flip=True, files="cifar10"),
    "cifar100": Dataset("CIFAR-100", partial(_read_cifar, "cifar100"), pad=4, flip=True, files="cifar100"),
    "fashion_mnist": Dataset("Fashion-MNIST", _read_fashion_mnist, pad=2, flip=True, files="fashion_mnist"),
    "trec": Dataset("TREC questions", _read_trec, files="trec"),
    "trec_subwords": Dataset("TREC questions", _read_trec_subwords, files="trec", pretrained=True),
    "rt_polarity": Dataset(
        "movie reviews",
        partial(_read_sentences, "rt_polarity", ("negative", "positive")),
        files="rt_polarity",
        pretrained=True,
    ),
    "subj": Dataset(
        "subjectivity", partial(_read_sentences, "subj", ("subjective", "objective")), files="subj", pretrained=True
    ),
    "digit_tokens": Dataset("digits as sentences", _read_digit_tokens),
    **{name: Dataset(*table) for name, table in TABLES.items()},
}
