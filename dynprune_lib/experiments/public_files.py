"""Files of public data sets: which they are, whether they are whole, and how to download them."""

import gzip
import hashlib
import zlib
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.errors import DataError

TREC = "https://raw.githubusercontent.com/harvardnlp/sent-conv-torch/d61ded09c99c0199d8c5bca946cd65864de2b296/data"
TREC_FILES = {
    "TREC.train.all": "c62c403d02ef12ad46da9bfb308473d4",
    "TREC.test.all": "0e43dfe89110e97af7e7d5c5dbc55293",
}


def listed_files(name: str, root: Path) -> list[tuple[Path, str]]:
    """Return the files that a data set is read from, each with the md5 of the published one.

    Args:
        name: cifar10, cifar100, fashion_mnist or trec.
        root: folder of all data sets.
    """
    if name == "trec":
        return [(root / "text" / filename, md5) for filename, md5 in TREC_FILES.items()]
    source = torchvision_class(name)
    if name == "fashion_mnist":
        return [(_fashion_mnist_folder(root) / filename, md5) for filename, md5 in source.resources]
    listed = [*source.train_list, *source.test_list, [source.meta["filename"], source.meta["md5"]]]
    return [(root / source.base_folder / filename, md5) for filename, md5 in listed]


def torchvision_class(name: str) -> Any:
    """Return torchvision's class of a data set, which has the addresses and the md5s of its files."""
    datasets = torchvision_datasets()
    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "fashion_mnist": datasets.FashionMNIST}[name]


def check_files(name: str, root: Path) -> None:
    """Raise DataError, with the remedy, if a file of a data set is missing or damaged."""
    for path, md5 in listed_files(name, root):
        if not path.is_file():
            raise _missing(path, name)
        if not _is_whole(path, md5):
            raise _damaged(path, md5, name)


def trec_texts(root: Path) -> list[str]:
    """Return the training and the test part of TREC; gzipped files, NAME.gz, stand in for those that are missing.

    Raises:
        DataError: a file is missing or damaged.
    """
    return [_checked_text(path, md5) for path, md5 in listed_files("trec", root)]


def _checked_text(path: Path, md5: str) -> str:
    found = path if path.is_file() else path.with_name(f"{path.name}.gz")
    if not found.is_file():
        raise _missing(path, "trec")
    content = found.read_bytes()
    if found != path:
        with suppress(gzip.BadGzipFile, EOFError, zlib.error):  # not whole: its content has another md5
            content = gzip.decompress(content)
    if hashlib.md5(content).hexdigest() != md5:
        raise _damaged(found, md5, "trec")
    return content.decode("latin-1")


def download_cifar(name: str, root: Path) -> None:
    """Download CIFAR-10 or CIFAR-100 unless it is whole."""
    source = torchvision_class(name)
    _download(name, root, root, [(source.url, source.tgz_md5)])


def download_fashion_mnist(root: Path) -> None:
    """Download Fashion-MNIST unless it is whole."""
    source = torchvision_class("fashion_mnist")
    archives = [(source.mirrors[0] + filename, md5) for filename, md5 in source.resources]
    _download("fashion_mnist", root, _fashion_mnist_folder(root), archives)


def download_trec(root: Path) -> None:
    """Download the questions of TREC unless they are whole."""
    _download("trec", root, root / "text", [(f"{TREC}/{name}", md5) for name, md5 in TREC_FILES.items()])


def _download(name: str, root: Path, folder: Path, sources: list[tuple[str, str]]) -> None:
    try:
        if not all(_is_whole(path, md5) for path, md5 in listed_files(name, root)):
            utils = torchvision_datasets().utils
            fetch = utils.download_url if name == "trec" else utils.download_and_extract_archive
            for address, md5 in sources:
                fetch(address, folder, md5=md5)
    except (OSError, HTTPException, RuntimeError) as error:
        raise DataError(
            f"cannot download {sources[0][0]} to {folder} ({error}): check the network and that the folder can be"
            " written, or name the folder that has the data set by --data-dir or DYNPRUNE_DATA"
        ) from error


def _fashion_mnist_folder(root: Path) -> Path:
    return root / "FashionMNIST" / "raw"


def _is_whole(path: Path, md5: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == md5


def _missing(path: Path, name: str) -> DataError:
    return DataError(f"{path} is missing: {_how_to_download(name)}")


def _damaged(path: Path, md5: str, name: str) -> DataError:
    return DataError(f"{path} is damaged (its md5 is not {md5}): remove it, then {_how_to_download(name)}")


def _how_to_download(name: str) -> str:
    return f"run `dynprune data {name} --download`, or name the folder that has it by --data-dir or DYNPRUNE_DATA"
