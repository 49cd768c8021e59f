"""Eight short trainings that together use every field of a run: their losses, and where they are to be the same."""

import json
import platform
from pathlib import Path

import torch

from dynprune_lib.experiments.data import ImageData, Split, TensorData
from dynprune_lib.experiments.make import make_run
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store
from tests.golden import FOLDER


def _with(sampler, prune_rate=0.0, **fields):
    return {"sampler": sampler, "prune_rate": prune_rate} | fields


RECIPE = {"dataset": "cifar10", "batch_size": 32, "epochs": 4, "learning_rate": 0.01}
IMAGES = RECIPE | {"model": "small"}  # the images below stand for those of CIFAR-10
DESKTOP = {"model": "speedrun", "learning_rate": 0.2, "momentum": 0.85, "weight_decay": 0.00133, "bias_rate": 16}
DESKTOP |= {"averaging": 0.9, "label_smoothing": 0.2, "flip": "alternating", "pad": 2, "padding": "reflect"}
OWN_LENGTH = {"fill": False, "rescale": True, "anneal_from": 3}
RESCORED = {"score": "el2n", "rescore": True, "trace": 20, "seed": 2}
RARE = {"imbalance": 5.0, "schedule": "cosine", "seed": 7}
TABLE = {"dataset": "hastie", "model": "mlp", "optimizer": "adamw", "learning_rate": 0.003, "epochs": 8, "alone": True}
RUNS = {
    name: RunSpec(**recipe)
    for name, recipe in {
        "desktop": RECIPE | DESKTOP | _with("ucb", 0.5, settings={"c": 2.0}, precision="bfloat16"),
        "forget": IMAGES | _with("forget", 0.3, init_seed=5),
        "aum": IMAGES | _with("aum", 0.3, model="strided", label_noise=0.2, validation=64),
        "molpeg": IMAGES | _with("molpeg", 0.5, settings={"anneal_from": 3}),
        "own length": IMAGES | _with("infobatch", settings=OWN_LENGTH),
        "re-scored": IMAGES | _with("ucb", 0.5, **RESCORED),
        "rare classes": IMAGES | _with("rcap", 0.3, **RARE),
        "table": RECIPE | TABLE | _with("rs2", 0.5),
    }.items()
}


def losses(name, folder):
    """Train a run; return the training loss of every epoch and, at the end, the accuracy and how much was computed."""
    spec = RUNS[name]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums over threads are rounded otherwise
    try:
        record = make_run(spec, _table() if name == "table" else _images(), Store(Path(folder)))
    finally:
        torch.set_num_threads(threads)
    return {
        "train_loss": [epoch.train_loss for epoch in record.epochs],
        "test_loss": [epoch.test_loss for epoch in record.epochs],
        "passes": [record.training.forward_passes, record.training.backward_passes, record.scoring.backward_passes],
    }


def golden():
    """Return what was recorded on each kind of CPU."""
    return json.loads((FOLDER / "training.json").read_text())


def here():
    """Return what rounding depends on: only where all of it is the same are the losses the same to the last digit."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = dict(line.replace("\t", "").split(": ", 1) for line in reversed(lines) if ": " in line)
    return {
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "capability": torch.backends.cpu.get_cpu_capability(),
        "vendor": found.get("vendor_id", "unknown"),
        "multiplies bfloat16": "avx512_bf16" in found.get("flags", ""),
        **({"has matrix units": True} if "amx_bf16" in found.get("flags", "") else {}),
    }


def _images(num_train=320, num_test=128, classes=10):
    """Return images of smooth patterns, one per class, that are shifted and covered by noise; some may be mirrored."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randn(classes, 3, 4, 4, generator=generator)
    patterns = torch.nn.functional.interpolate(patterns, size=(32, 32), mode="nearest").permute(0, 2, 3, 1)

    def split(count):
        labels = torch.arange(count) % classes
        noise = torch.randn(count, 32, 32, 3, generator=generator)
        pixels = 128 + 32 * patterns[labels] + 48 * noise
        return Split(pixels.clamp(0, 255).to(torch.uint8), labels)

    names = tuple(f"class {number}" for number in range(classes))
    train, test = split(num_train), split(num_test)
    grey = {"mean": torch.full((3,), 128.0), "std": torch.full((3,), 56.0)}
    return ImageData("synthetic images", names, train, test, md5="synthetic", pad=4, flip=True, **grey)


def _table(num_train=640, num_test=128, features=6):
    """Return rows of numbers of two classes: whether a quadratic form is positive."""
    generator = torch.Generator().manual_seed(1)
    form = torch.randn(features, features, generator=generator)

    def split(count):
        rows = torch.randn(count, features, generator=generator)
        return Split(rows, ((rows @ form) * rows).sum(1).gt(0).long())

    return TensorData("synthetic table", ("negative", "positive"), split(num_train), split(num_test), md5="synthetic")
