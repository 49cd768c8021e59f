import gzip
import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from dynprune_lib.data import DataError, download, load_dataset


def test_digits_are_real_whole_and_stratified(digits):
    assert digits.train.images.shape == (1437, 8, 8, 1)
    assert digits.test.images.shape == (360, 8, 8, 1)
    assert digits.train.images.dtype == torch.uint8
    assert digits.train.images.max() == 255
    assert digits.train.labels.bincount().min() >= 139
    assert digits.test.labels.bincount().min() >= 34
    assert not digits.flip


def test_digits_are_the_same_every_time(digits):
    assert load_dataset("digits").md5 == digits.md5


def test_pixel_statistics_are_those_of_the_training_images(digits):
    pixels = digits.train.images.double()
    assert digits.mean.item() == pytest.approx(pixels.mean().item())
    assert digits.std.item() == pytest.approx(pixels.std(correction=0).item())


def test_cifar10_is_the_original(cifar10):
    assert cifar10.train.images.shape == (50_000, 32, 32, 3)
    assert cifar10.test.images.shape == (10_000, 32, 32, 3)
    assert cifar10.train.labels.bincount().tolist() == [5_000] * 10
    assert cifar10.classes[3] == "cat"
    # the published statistics of CIFAR-10
    torch.testing.assert_close(cifar10.mean / 255, torch.tensor([0.4914, 0.4822, 0.4465]), atol=1e-4, rtol=0)
    torch.testing.assert_close(cifar10.std / 255, torch.tensor([0.2470, 0.2435, 0.2616]), atol=1e-4, rtol=0)


def test_cifar100_is_the_original(cifar100):
    assert cifar100.train.images.shape == (50_000, 32, 32, 3)
    assert cifar100.train.labels.bincount().tolist() == [500] * 100
    assert cifar100.test.labels.bincount().tolist() == [100] * 100
    assert len(cifar100.classes) == 100


def test_unknown_data_set():
    with pytest.raises(DataError, match="unknown data set 'mnist': there are digits, cifar10, cifar100"):
        load_dataset("mnist")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_1"),
        ("cifar100", "cifar-100-python/train"),
        ("fashion_mnist", "FashionMNIST/raw/train-images-idx3-ubyte.gz"),
    ],
)
def test_a_missing_file_and_a_half_downloaded_one_are_named(tmp_path, name, file):
    with pytest.raises(DataError, match=f"{file} is missing: run `dynprune data {name} --download`"):
        load_dataset(name, tmp_path)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_bytes(b"the beginning of")
    with pytest.raises(DataError, match=f"{file} is damaged .*: remove it, then run"):
        load_dataset(name, tmp_path)


def test_the_folder_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNPRUNE_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match="elsewhere"):
        load_dataset("cifar10")


@pytest.fixture
def fashion_mnist(tmp_path, monkeypatch):
    """A small data set in the format and the layout of Fashion-MNIST."""
    from dynprune_lib.vision import torchvision_datasets

    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    resources = []
    for part, count in (("train", 20), ("t10k", 10)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for name, array, magic in (
            (f"{part}-images-idx3-ubyte", images, 2051),
            (f"{part}-labels-idx1-ubyte", labels, 2049),
        ):
            content = b"".join(size.to_bytes(4, "big") for size in (magic, *array.shape)) + array.tobytes()
            (folder / name).write_bytes(content)
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            resources.append((f"{name}.gz", hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest()))
    monkeypatch.setattr(torchvision_datasets().FashionMNIST, "resources", resources)
    return tmp_path


def test_fashion_mnist_is_read_from_torchvisions_layout(fashion_mnist):
    data = load_dataset("fashion_mnist", fashion_mnist)
    assert data.train.images.shape == (20, 28, 28, 1)
    assert data.test.labels.tolist() == list(range(10))
    assert data.classes[0] == "T-shirt/top"
    download("fashion_mnist", fashion_mnist)  # whole: fetches nothing


def test_fashion_mnist_extracted_only_in_part(fashion_mnist):
    extracted = fashion_mnist / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte"
    extracted.write_bytes(extracted.read_bytes()[:-100])
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte is missing or damaged"):
        load_dataset("fashion_mnist", fashion_mnist)


@pytest.fixture
def image_folder(tmp_path):
    """Two classes, images of several sizes and kinds."""
    for part, count in (("train", 3), ("test", 2)):
        for name, colour in (("cats", (250, 0, 0)), ("dogs", (0, 0, 250))):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = Image.new("RGB", (20 + 30 * number, 40), colour)
                image.save(folder / f"{number}.{'jpg' if number == 0 else 'png'}")
    (tmp_path / "train" / "cats" / "notes.txt").write_text("no image")
    (tmp_path / "train" / ".hidden").mkdir()
    return tmp_path


def test_a_folder_of_images(image_folder):
    data = load_dataset(f"folder:{image_folder}")
    assert data.classes == ("cats", "dogs")
    assert data.train.images.shape == (6, 32, 32, 3)
    assert data.test.images.shape == (4, 32, 32, 3)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    reddest = data.train.images[data.train.labels == 0]
    assert reddest[..., 0].min() > 230
    assert reddest[..., 2].max() < 20


def break_image(folder):
    (folder / "test" / "dogs" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")


def empty_class(folder):
    for file in (folder / "train" / "dogs").iterdir():
        file.unlink()


def remove_test(folder):
    (folder / "test").rename(folder / "tests")


def another_class(folder):
    (folder / "test" / "birds").mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_image, r"test/dogs/1.png cannot be read as an image .*: repair or remove it"),
        (empty_class, "train/dogs has no images: put .png or .jpg files there"),
        (remove_test, "test is not there: a folder data set has train/CLASS"),
        (another_class, r"only one of them has \['birds'\]"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(image_folder, damage, message):
    damage(image_folder)
    with pytest.raises(DataError, match=message):
        load_dataset(f"folder:{image_folder}")


def test_a_truncated_image_is_named(image_folder):
    file = image_folder / "train" / "cats" / "2.png"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"cats/2.png cannot be read"):
        load_dataset(f"folder:{image_folder}")


def test_one_class_is_not_enough(tmp_path):
    (tmp_path / "train" / "only").mkdir(parents=True)
    with pytest.raises(DataError, match="train has 1 class folders: at least two"):
        load_dataset(f"folder:{tmp_path}")
