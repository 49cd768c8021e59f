"""Folders of the user's own images."""

import shutil

import numpy as np
import pytest
from PIL import ExifTags, Image

from dynprune_lib.errors import SweepError
from dynprune_lib.experiments import image_folder
from dynprune_lib.experiments.augment import normalize
from dynprune_lib.experiments.data import DataError, load_dataset
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, _load_on, sweep

RAMP = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1))  # dark on the left


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DYNPRUNE_CACHE", str(folder))
    return folder / "folders"


@pytest.fixture
def folder(tmp_path):
    """Red cats and blue dogs: a JPEG and PNGs of several sizes."""
    for part, count in (("train", 3), ("test", 2)):
        for name, colour in (("cats", (250, 0, 0)), ("dogs", (0, 0, 250))):
            (tmp_path / part / name / "more").mkdir(parents=True)
            for number, file in enumerate(["0.jpg", "1.png", "more/2.PNG"][:count]):
                Image.new("RGB", (20 + 30 * number, 40), colour).save(tmp_path / part / name / file)
    return tmp_path


def load(folder):
    return load_dataset(f"folder:{folder}")


def test_a_folder_of_images_is_a_data_set(folder):
    for name in ("notes.txt", "._0.jpg"):
        (folder / "train" / "cats" / name).write_text("no image")
    data = load(folder)
    assert data.classes == ("cats", "dogs")
    assert (data.train.images.shape, data.test.images.shape) == ((6, 32, 32, 3), (4, 32, 32, 3))
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1])
    assert data.train.images[:3, ..., 0].min() > 230
    assert data.train.images[3:, ..., 0].max() < 20
    assert normalize(data.train.images, data).isfinite().all()  # though green is the same in all of them


def test_images_are_turned_upright_by_their_exif_data_and_16_bits_are_scaled_and_not_clipped(tmp_path):
    for orientation, stored in {1: RAMP, 2: RAMP[:, ::-1], 3: RAMP[::-1, ::-1], 5: RAMP.T, 6: np.rot90(RAMP)}.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "x.png", exif=exif)
        assert (image_folder._decode(tmp_path / "x.png") == RAMP[..., None]).all()
    for kind in ("png", "tif"):
        Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / f"x.{kind}")
        assert (image_folder._decode(tmp_path / f"x.{kind}") == RAMP[..., None]).all()


def test_all_damaged_images_are_told_in_one_line(folder):
    cats, dogs = folder / "train" / "cats", folder / "train" / "dogs"
    (cats / "1.png").write_bytes(b"no image")
    Image.fromarray(RAMP.astype(np.float32)).save(cats / "more" / "2.PNG", "TIFF")
    (dogs / "1.png").write_bytes((dogs / "1.png").read_bytes()[:-30])
    (dogs / "x.png").symlink_to("nowhere.png")
    named = r"cats/1.png \(.*cannot identify.*\), .*cats/more/2.PNG \(.*32-bit.*\), .*dogs/1.png \(.*[Tt]runcated.*\)"
    with pytest.raises(DataError, match=f"^cannot read 4 of 11 images, repair or remove them: .*/{named}, and 1 more$"):
        load(folder)


def test_what_is_missing_is_named(folder):
    (folder / "test" / "birds").mkdir()
    with pytest.raises(DataError, match=r"/test: Found no valid file for the classes birds.*: put images there"):
        load(folder)
    Image.new("RGB", (8, 8)).save(folder / "test" / "birds" / "x.png")
    with pytest.raises(DataError, match=r"must have the same classes, but only one of them has \['birds'\]"):
        load(folder)
    shutil.rmtree(folder / "test")
    with pytest.raises(DataError, match="/test: No such file or directory: put images there, one folder a class"):
        load(folder)
    shutil.rmtree(folder / "train" / "dogs")
    shutil.copytree(folder / "train", folder / "test")
    with pytest.raises(DataError, match="has only the class cats: add a second one"):
        load(folder)


def test_images_are_decoded_once_and_again_without_a_whole_cache_or_if_one_changed(folder, cache, monkeypatch):
    decoded, decode = [], image_folder._decode
    monkeypatch.setattr(image_folder, "_decode", lambda file: decoded.append(file) or decode(file))
    first = load(folder).md5
    assert (load(folder).md5, len(decoded)) == (first, 10)
    (file,) = cache.glob("*.npz")
    whole = file.read_bytes()
    for times, damaged in enumerate((whole[:-1], whole[:5_000] + b"?" + whole[5_001:]), start=2):
        file.write_bytes(damaged)
        assert (load(folder).md5, len(decoded)) == (first, 10 * times)
        assert (load(folder).md5, len(decoded)) == (first, 10 * times)
    monkeypatch.setenv("DYNPRUNE_CACHE", str(file))  # where there can be none
    for times in (4, 5):
        assert (load(folder).md5, len(decoded)) == (first, 10 * times)
    image, seen = folder / "train" / "cats" / "1.png", [first]
    Image.new("RGB", (9, 9), (0, 250, 0)).save(image)
    seen.append(load(folder).md5)
    image.unlink()
    assert len({*seen, load(folder).md5}) == 3


def test_a_record_of_other_images_is_not_taken_for_that_of_the_folder(folder, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("results"))
    spec = RunSpec(dataset=f"folder:{folder}", model="tiny", epochs=1, batch_size=2)
    for _ in range(2):
        sweep([spec], Plan(store, threads=1))
    Image.new("RGB", (8, 8), (0, 250, 0)).save(folder / "train" / "cats" / "new.png")
    _load_on.cache_clear()  # as in another process
    changed = f"the images of folder:.* have changed since the record {spec.name}: remove it"
    with pytest.raises(SweepError, match=changed):
        sweep([spec], Plan(store, threads=1))
    (folder / "train").rename(folder / "elsewhere")
    _load_on.cache_clear()
    sweep([spec], Plan(store, threads=1))  # the record stays where its images do not
