import os
import stat
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from dynprune_lib.errors import DynpruneError, SweepError
from dynprune_lib.experiments import image_folder
from dynprune_lib.experiments.augment import normalize
from dynprune_lib.experiments.data import DataError, load_dataset
from dynprune_lib.experiments.image_folder import decode_image
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, _load_on, sweep

RAMP = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DYNPRUNE_CACHE", str(folder))
    return folder / "folders"


@pytest.fixture
def folder(tmp_path):
    """Two classes, images of several sizes and kinds."""
    for part, count in (("train", 3), ("test", 2)):
        for name, colour in (("cats", (250, 0, 0)), ("dogs", (0, 0, 250))):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = Image.new("RGB", (20 + 30 * number, 40), colour)
                image.save(folder / f"{number}.{'jpg' if number == 0 else 'png'}")
    return tmp_path


def load(folder):
    return load_dataset(f"folder:{folder}")


def test_a_folder_of_images(folder, recwarn):
    data = load(folder)
    assert data.classes == ("cats", "dogs")
    assert data.train.images.shape == (6, 32, 32, 3)
    assert data.test.images.shape == (4, 32, 32, 3)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    reddest = data.train.images[data.train.labels == 0]
    assert reddest[..., 0].min() > 230
    assert reddest[..., 2].max() < 20
    assert not recwarn.list


FORMATS = ["bmp", "gif", "jp2", "jpeg", "PNG", "ppm", "tga", "tif", "tiff", "webp"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_of_pillow_is_read(folder, suffix):
    Image.new("RGB", (8, 8), (0, 250, 0)).save(folder / "train" / "cats" / f"x.{suffix}")
    data = load(folder)
    assert len(data.train) == 7
    assert data.train.images[3, ..., 1].min() > 230


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 8), (250 * (number == 0), 0, 0)) for number in range(3)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert decode_image(tmp_path / "x.gif")[..., 0].min() == 250


def test_subfolders_of_a_class_belong_to_it(folder):
    (folder / "train" / "cats" / "more" / "and more").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "train" / "cats" / "more" / "and more" / "x.png")
    assert load(folder).train.labels.tolist() == [0] * 4 + [1] * 3


def test_what_is_hidden_is_no_image(folder, recwarn):
    for name in (".x.png", "._0.png"):
        (folder / "train" / "cats" / name).write_bytes(b"no image")
    (folder / "train" / ".hidden").mkdir()
    (folder / "train" / "cats" / ".thumbnails").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "train" / "cats" / ".thumbnails" / "0.png")
    assert len(load(folder).train) == 6
    assert not recwarn.list


def test_a_warning_counts_the_files_that_were_left_out(folder):
    (folder / "train" / "cats" / "notes.txt").write_text("no image")
    (folder / "train" / "cats" / "features.h5").write_text("Pillow knows the name, and decodes none")
    (folder / "test" / "loose.png").touch()
    with pytest.warns(UserWarning, match=r"3 files were left out, such as .*/train/cats/features.h5"):
        assert len(load(folder).train) == 6


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_are_scaled_and_not_clipped(tmp_path, suffix):
    file = tmp_path / f"x.{suffix}"
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(file)
    assert (decode_image(file) == RAMP[..., None]).all()


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_32_bits_are_refused(tmp_path, kind):
    Image.fromarray(RAMP.astype(kind)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=r"x.tif cannot be read .*32-bit values .* save them with 8 or 16 bits"):
        decode_image(tmp_path / "x.tif")


def broken_image(folder):
    (folder / "test" / "dogs" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")


def cut_image(folder):
    file = folder / "test" / "dogs" / "1.png"
    file.write_bytes(file.read_bytes()[:-30])


def huge_image(folder):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    (folder / "test" / "dogs" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IEND", b""))


def empty_class(folder):
    for file in (folder / "train" / "dogs").iterdir():
        file.unlink()


def remove_test(folder):
    (folder / "test").rename(folder / "tests")


def another_class(folder):
    (folder / "test" / "birds").mkdir()


def pipe(folder):
    os.mkfifo(folder / "train" / "cats" / "x.png")


def unix_socket(folder):
    os.mknod(folder / "train" / "cats" / "x.png", stat.S_IFSOCK)


def dangling_link(folder):
    (folder / "train" / "cats" / "x.png").symlink_to("nowhere.png")


def link_to_a_parent(folder):
    (folder / "train" / "cats" / "again").symlink_to(folder / "train" / "cats")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken_image, r"test/dogs/1.png cannot be read as an image .*: repair or remove it"),
        (cut_image, r"test/dogs/1.png cannot be read as an image .*: repair or remove it"),
        (huge_image, r"test/dogs/1.png cannot be read as an image .*900000000 pixels.*: repair or remove it"),
        (empty_class, "train/dogs has no images: put some there, or remove the class"),
        (remove_test, "test is not there: a folder data set has train/CLASS"),
        (another_class, r"only one of them has \['birds'\]"),
        (pipe, "train/cats/x.png is not a regular file: remove it"),
        (unix_socket, "train/cats/x.png is not a regular file: remove it"),
        (dangling_link, r"cannot read .*/train/cats/x.png \(No such file"),
        (link_to_a_parent, "train/cats/again is a link to .*/train/cats, .*: remove the link"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(DataError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["iterdir", "walk"])
def test_a_folder_that_may_not_be_read_is_named(folder, monkeypatch, where):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", f"{folder}/train/cats")

    monkeypatch.setattr("pathlib.Path.iterdir" if where == "iterdir" else "os.scandir", refuse)
    with pytest.raises(DataError, match=r"cannot read .*/train/cats \(Permission denied\): correct"):
        load(folder)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~nobody-of-that-name/x", "~nobody-of-that-name/x: .*: write the path without ~"),
        ("x" * 5_000, "cannot read .*File name too long"),
        ("a\0b", "is not there"),
    ],
)
def test_what_is_wrong_with_a_path_is_named(path, message):
    with pytest.raises(DynpruneError, match=message):
        load(path)


def test_one_class_is_not_enough(tmp_path):
    (tmp_path / "train" / "only").mkdir(parents=True)
    with pytest.raises(DataError, match="train has 1 class folders: at least two"):
        load(tmp_path)


@pytest.fixture
def decoded(monkeypatch):
    """Names of the images that were decoded, in any order."""
    names = []

    def decode(file):
        names.append(file.name)
        return decode_image(file)

    monkeypatch.setattr(image_folder, "decode_image", decode)
    return names


def test_images_are_decoded_once(folder, decoded):
    first = load(folder)
    assert len(decoded) == 10
    again = load(folder)
    assert len(decoded) == 10
    assert again.md5 == first.md5
    assert torch.equal(again.train.labels, first.train.labels)


def test_a_change_of_any_file_is_seen(folder):
    file = folder / "train" / "cats" / "x.bmp"
    Image.new("RGB", (8, 8), (250, 0, 0)).save(file)
    first, before = load(folder), file.stat()
    Image.new("RGB", (8, 8), (0, 250, 0)).save(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same size and time
    second = load(folder)
    assert second.md5 != first.md5
    file.unlink()
    assert load(folder).md5 not in (first.md5, second.md5)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[:-1],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda _: b"\x80\x04N.",  # a pickle
    ],
)
def test_a_damaged_cache_is_made_anew(folder, cache, decoded, damage):
    whole = load(folder).md5
    (file,) = cache.glob("*.images")
    content = file.read_bytes()
    file.write_bytes(damage(content))
    assert load(folder).md5 == whole
    assert len(decoded) == 20
    assert file.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_no_error(folder, tmp_path, monkeypatch, decoded):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DYNPRUNE_CACHE", str(tmp_path / "file"))
    assert load(folder).md5 == load(folder).md5
    assert len(decoded) == 20


def test_the_cache_is_bounded(folder, cache, monkeypatch):
    load(folder)
    (old,) = cache.glob("*.images")
    os.utime(old, (0, 0))
    (cache / f".{old.name}.123").write_bytes(b"of a process that was killed")
    os.utime(cache / f".{old.name}.123", (0, 0))
    monkeypatch.setattr(image_folder, "CACHE_BYTES", 11 * 32 * 32 * 3 + 32)  # the new file, and not a byte more
    Image.new("RGB", (8, 8)).save(folder / "train" / "cats" / "x.png")
    load(folder)
    (new,) = cache.glob("*.images*")
    assert new != old
    assert not list(cache.glob(".*"))
    monkeypatch.setattr(image_folder, "CACHE_BYTES", 1_000)
    (folder / "train" / "cats" / "x.png").unlink()
    load(folder)  # too large to be kept
    assert list(cache.glob("*.images")) == [new]


def test_threads_decode_at_the_same_time_and_the_order_is_that_of_the_files(tmp_path, monkeypatch):
    for part in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / part / label).mkdir(parents=True)
            for number in range(20):
                Image.new("L", (4, 4), number).save(tmp_path / part / label / f"{number:02}.png")
    together = threading.Barrier(2, timeout=30)  # broken unless two threads meet there

    def decode(file):
        together.wait()
        return decode_image(file)

    monkeypatch.setattr(image_folder, "CHUNK", 2)
    monkeypatch.setattr(image_folder, "_num_cores", lambda: 2)
    monkeypatch.setattr(image_folder, "decode_image", decode)
    assert load(tmp_path).train.images[:, 0, 0, 0].tolist() == [*range(20)] * 2


def test_a_channel_that_is_constant_stays_finite(folder):
    data = load(folder)  # red and blue images
    assert data.std[1] == 1
    assert normalize(data.train.images, data).isfinite().all()


def test_a_record_of_other_images_is_not_taken_for_that_of_the_folder(folder, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("results"))
    spec = RunSpec(dataset=f"folder:{folder}", model="tiny", epochs=1, batch_size=2)
    for _ in range(2):
        sweep([spec], Plan(store, threads=1))
    Image.new("RGB", (8, 8), (0, 250, 0)).save(folder / "train" / "cats" / "new.png")
    _load_on.cache_clear()  # as in another process
    with pytest.raises(
        SweepError, match=f"the record {spec.name} is of other images than folder:.* has now: remove it"
    ):
        sweep([spec], Plan(store, threads=1))
    (folder / "train").rename(folder / "elsewhere")
    _load_on.cache_clear()
    sweep([spec], Plan(store, threads=1))  # the record stays where its images do not
