import gzip
import hashlib
import pickle
from unittest.mock import Mock
from urllib.error import URLError

import numpy as np
import pytest
import torch

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.experiments.data import DataError, ImageData, download, load_dataset
from dynprune_lib.experiments.public_files import TEXT_FILES
from tests.helpers import Hostile

CLOTHES = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
QUESTIONS = {
    "TREC.train.all": b"3 Who was it ?\n4 Where was it ?\n",
    "TREC.test.all": "3 Who is Angélique ?\n".encode("latin-1"),
}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Small data sets in the formats and layouts of CIFAR-10, Fashion-MNIST and TREC; returns their folder."""

    def saved(folder, contents):
        (tmp_path / folder).mkdir(parents=True)
        for name, content in contents.items():
            (tmp_path / folder / name).write_bytes(content)
        return [(name, hashlib.md5(content).hexdigest()) for name, content in contents.items()]

    cifar = torchvision_datasets().CIFAR10
    images = {"data": np.zeros((4, 3 * 32 * 32), np.uint8), "labels": [0, 1, 0, 1]}
    contents = {"data_batch_1": images, "test_batch": images, "batches.meta": {"label_names": ["cat", "dog"]}}
    pickled = {name: pickle.dumps(content) for name, content in contents.items()}
    train, test, meta = saved(cifar.base_folder, pickled)
    monkeypatch.setattr(cifar, "train_list", [train])
    monkeypatch.setattr(cifar, "test_list", [test])
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": meta[1]})
    archives = {}
    for part, images in (("train", CLOTHES), ("t10k", CLOTHES[:10])):
        labels = np.arange(len(images), dtype=np.uint8) % 10
        for kind, array, magic in (("images-idx3", images, 2051), ("labels-idx1", labels, 2049)):
            head = b"".join(size.to_bytes(4, "big") for size in (magic, *array.shape))
            archives[f"{part}-{kind}-ubyte.gz"] = gzip.compress(head + array.tobytes())
    monkeypatch.setattr(torchvision_datasets().FashionMNIST, "resources", saved("FashionMNIST/raw", archives))
    monkeypatch.setitem(TEXT_FILES, "trec", dict(saved("text", QUESTIONS)))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/batches.meta"),
        ("fashion_mnist", "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz"),
        ("trec", "text/TREC.test.all"),
    ],
)
def test_a_half_downloaded_file_and_a_missing_one_are_named_and_downloaded(files, monkeypatch, name, file):
    fetched = []
    for fetch in ("download_and_extract_archive", "download_url"):
        monkeypatch.setattr(torchvision_datasets().utils, fetch, lambda address, *_, **__: fetched.append(address))
    download(name, files)
    assert not fetched
    (files / file).write_bytes(b"the beginning of")
    with pytest.raises(DataError, match=f"{file} is damaged .*: remove it, then run `dynprune data {name} --download`"):
        load_dataset(name, files)
    download(name, files)
    assert (number := len(fetched)) > 0
    (files / file).unlink()
    with pytest.raises(DataError, match=f"{file} is missing: run `dynprune data {name} --download`"):
        load_dataset(name, files)
    download(name, files)
    assert len(fetched) > number


def test_what_is_not_the_original_cifar_is_never_unpickled(files):
    assert load_dataset("cifar10", files).train.labels.tolist() == [0, 1, 0, 1]
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        path = files / "cifar-10-batches-py" / name
        original = path.read_bytes()
        path.write_bytes(pickle.dumps(Hostile(files / "trace")))
        with pytest.raises(DataError, match=f"{name} is damaged"):
            load_dataset("cifar10", files)
        path.write_bytes(original)
    assert not (files / "trace").exists()


def test_fashion_mnist_is_read_from_the_checked_archives_alone(files):
    data = load_dataset("fashion_mnist", files)
    assert data.train.images.shape == (20, 28, 28, 1)
    assert (data.train.images.numpy()[..., 0] == CLOTHES).all()
    assert data.test.labels.tolist() == list(range(10))
    assert data.classes[0] == "T-shirt/top"
    (files / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"cut")
    processed = files / "FashionMNIST" / "processed"  # of older versions of torchvision, which it prefers
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(5, 28, 28, dtype=torch.uint8), torch.zeros(5)), processed / name)
    assert load_dataset("fashion_mnist", files).md5 == data.md5


def test_questions_are_token_ids_of_the_words_of_the_training_part(files):
    data = load_dataset("trec", files)
    assert not isinstance(data, ImageData)
    assert data.train.inputs.tolist() == [[1, 2, 3, 4], [1, 2, 3, 4]]  # who and where occur once
    assert data.test.inputs.tolist() == [[1, 1, 1, 4]]
    assert [data.classes[label] for label in data.train.labels] == ["human", "location"]


@pytest.mark.parametrize(
    ("name", "rows", "features"),
    [("breast_cancer", 569, 30), ("hastie", 19_968, 10), ("diabetes", 442, 10), ("friedman", 19_968, 10)],
)
def test_tables_are_standardised_and_the_same_every_time(name, rows, features):
    data = load_dataset(name)
    assert len(data.train) + len(data.test) == rows
    assert data.train.inputs.shape[1:] == (features,)
    assert data.train.inputs.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(data.train.inputs.std(0, correction=0), torch.ones(features))
    if not data.classes:
        assert data.train.labels.dtype == torch.float32
        assert data.train.labels.var(correction=0).item() == pytest.approx(1)
    assert len(data.train) % 64 == 0  # half of it fills whole batches as well
    assert load_dataset(name).md5 == data.md5


def test_pixel_statistics_are_those_of_the_training_images(digits):
    pixels = digits.train.images.double()
    assert digits.mean.item() == pytest.approx(pixels.mean().item())
    assert digits.std.item() == pytest.approx(pixels.std(correction=0).item())


@pytest.mark.parametrize("name", ["cifar10", "trec"])
def test_a_download_that_fails_is_an_error_of_one_line_that_names_address_and_folder(tmp_path, name, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", Mock(side_effect=URLError("no network")))
    (tmp_path / "file").touch()
    for folder, reason in ((tmp_path, "no network.*check the network"), (tmp_path / "file" / "x", "can be written")):
        with pytest.raises(DataError, match=f"^cannot download http.* to {folder}.*{reason}.*$"):
            download(name, folder)


def test_a_data_set_or_a_folder_that_cannot_be_read_is_an_error_that_names_it():
    with pytest.raises(DataError, match="unknown data set 'mnist': there are digits, cifar10, cifar100"):
        load_dataset("mnist")
    with pytest.raises(DataError, match=r"cannot read .*File name too long"):
        load_dataset("cifar10", "x" * 5_000)
