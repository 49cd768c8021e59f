"""ResNet-18 for images of 32x32, and the small nets of the profiles that run on a laptop."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


class GlobalPool(nn.Module):
    """(B, channels, height, width) to (B, channels), by the mean or the maximum over all places."""

    def __init__(self, reduce: Callable[..., Tensor]) -> None:
        super().__init__()
        self.reduce = reduce

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(x, (2, 3))


def resnet18(channels: int, classes: int) -> nn.Sequential:
    """ResNet-18 with a 3x3 stem and no max-pool, as all the literature on CIFAR has it: 11.2 million parameters."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, 64, 3, 1, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
    ]
    width = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [BasicBlock(width, outputs, stride), BasicBlock(outputs, outputs, 1)]
        width = outputs
    return nn.Sequential(*layers, GlobalPool(torch.mean), nn.Linear(width, classes))


def small(channels: int, classes: int) -> nn.Sequential:
    """The laptop profile's net, for 2 CPU cores: seven convolutions, in the manner of the narrow nets of
    KellerJordan/cifar10-airbench. Pooling right after a block's first convolution keeps the large maps few."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 2, bias=False),
        nn.ReLU(inplace=True),
        *_pooled_block(16, 32),
        *_pooled_block(32, 64),
        *_pooled_block(64, 128),
        GlobalPool(torch.amax),
        nn.Linear(128, classes),
    )


def tiny(channels: int, classes: int) -> nn.Sequential:
    """The smoke profile's net for 8x8 digits: it learns in a few seconds."""
    return nn.Sequential(
        *_convolution(channels, 16), *_convolution(16, 32, stride=2), GlobalPool(torch.amax), nn.Linear(32, classes)
    )


def strided(channels: int, classes: int) -> nn.Sequential:
    """Another small net, to tell what depends on the net: no pooling before its end, strided convolutions instead, and
    the mean over all places."""
    return nn.Sequential(
        *_convolution(channels, 16),
        *_convolution(16, 32, stride=2),
        *_convolution(32, 64, stride=2),
        *_convolution(64, 128, stride=2),
        GlobalPool(torch.mean),
        nn.Linear(128, classes),
    )


MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "resnet18": resnet18,
    "small": small,
    "strided": strided,
    "tiny": tiny,
}


def build_model(name: str, image_shape: tuple[int, int, int], classes: int, seed: int) -> nn.Module:
    """A model of MODELS, initialised from `seed` alone; torch's global random state stays as it is.

    Args:
        image_shape: (height, width, channels) of the images.

    Raises:
        ValueError: the images are too small for the model.
    """
    height, width, channels = image_shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[name](channels, classes)
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, channels, height, width))
    except (RuntimeError, IndexError) as error:
        raise ValueError(f"model {name} does not take images of {height} x {width}: choose another model") from error
    return model


def _convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def _pooled_block(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        *_convolution(outputs, outputs),
    ]
