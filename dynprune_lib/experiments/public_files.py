"""Files of public data sets: which they are, whether they are whole, and how to download them."""

import hashlib
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.errors import DataError

TEXTS = "https://raw.githubusercontent.com/harvardnlp/sent-conv-torch/d61ded09c99c0199d8c5bca946cd65864de2b296/data"
TEXT_FILES = {
    "trec": {
        "TREC.train.all": "c62c403d02ef12ad46da9bfb308473d4",
        "TREC.test.all": "0e43dfe89110e97af7e7d5c5dbc55293",
    },
    "rt_polarity": {"rt-polarity.all": "908b4ca55b130f6adb0b5d55868b35fa"},  # Pang and Lee 2005
    "subj": {"subj.all": "0e323da2c3f41688c010c426fdd5a3bf"},  # Pang and Lee 2004
}


class Published(NamedTuple):
    """Files of a data set and the addresses of what to download, each with its md5, and the folders to put them in."""

    folder: str
    files: list[tuple[str, str]]
    addresses: list[tuple[str, str]]
    unpacked_in: str


def published(name: str) -> Published:
    """Return what is published as cifar10, cifar100, fashion_mnist or a name in TEXT_FILES."""
    if name in TEXT_FILES:
        files = list(TEXT_FILES[name].items())
        return Published("text", files, [(f"{TEXTS}/{file}", md5) for file, md5 in files], "text")
    source = torchvision_class(name)
    if name == "fashion_mnist":
        folder, files = "FashionMNIST/raw", source.resources
        return Published(folder, files, [(source.mirrors[0] + file, md5) for file, md5 in files], folder)
    files = [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]
    return Published(source.base_folder, files, [(source.url, source.tgz_md5)], "")


def torchvision_class(name: str) -> Any:
    """Return torchvision's class of a data set, which lists the addresses and the md5s of its files."""
    datasets = torchvision_datasets()
    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "fashion_mnist": datasets.FashionMNIST}[name]


def read_files(name: str, root: Path) -> list[bytes]:
    """Return the contents of the files of a data set; DataError, with the remedy, names one that is not whole."""
    found, contents = published(name), []
    remedy = f"run `dynprune data {name} --download`, or set --data-dir or DYNPRUNE_DATA to its folder"
    for file, md5 in found.files:
        path = root / found.folder / file
        if not path.is_file():
            raise DataError(f"{path} is missing: {remedy}")
        content = path.read_bytes()
        if hashlib.md5(content).hexdigest() != md5:
            raise DataError(f"{path} is damaged (its md5 is not {md5}): remove it, then {remedy}")
        contents.append(content)
    return contents


def download_files(name: str, root: Path) -> None:
    """Download the files of a data set unless they are whole."""
    found, utils = published(name), torchvision_datasets().utils
    fetch = utils.download_url if name in TEXT_FILES else utils.download_and_extract_archive
    folder = root / found.unpacked_in
    try:
        read_files(name, root)
    except (DataError, OSError):
        try:
            for address, md5 in found.addresses:
                fetch(address, folder, md5=md5)
        except (OSError, HTTPException, RuntimeError) as error:
            raise DataError(
                f"cannot download {found.addresses[0][0]} to {folder} ({error}): check the network and that the folder"
                " can be written, or set --data-dir or DYNPRUNE_DATA to the folder of the data set"
            ) from error
