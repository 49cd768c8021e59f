"""Networks: ResNet-18 for 32 x 32 images, that of the CIFAR speedruns, small ones for images, tables and text."""

from collections.abc import Callable, Sequence
from functools import partial
from operator import mul

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.text import PADDING, VOCABULARY
from dynprune_lib.experiments.transformer import minilm, tiny_bert

WHITENED = 5_000  # images from which the whitening is estimated
EPSILON = 5e-4  # added to the variances, so that directions without signal are not blown up


class Apply(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


MEAN, MAXIMUM = partial(torch.mean, dim=(2, 3)), partial(torch.amax, dim=(2, 3))  # over all positions


class Residual(nn.Module):
    """Layers whose output is added to their input (He et al. 2016, arXiv:1512.03385), or to a `shortcut` of it."""

    def __init__(
        self, layers: list[nn.Module], activation: Callable[[Tensor], Tensor], shortcut: Sequence[nn.Module] = ()
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(*shortcut)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.residual(x) + self.shortcut(x))


def resnet18(channels: int, classes: int) -> nn.Sequential:
    """Return ResNet-18 with a 3x3 stem and no max-pool, the usual variant for CIFAR: 11.2 million parameters."""
    layers, width = _convolution(channels, 64), 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [_basic_block(width, outputs, stride), _basic_block(outputs, outputs)]
        width = outputs
    return nn.Sequential(*layers, Apply(MEAN), nn.Linear(width, classes))


def small(channels: int, classes: int) -> nn.Sequential:
    """Return the network of the laptop profile: seven convolutions, as narrow as those of
    KellerJordan/cifar10-airbench.

    Pooling right after a block's first convolution keeps large feature maps few.
    """
    return nn.Sequential(
        nn.Conv2d(channels, 16, 2, bias=False),
        nn.ReLU(inplace=True),
        *_pooled_block(16, 32),
        *_pooled_block(32, 64),
        *_pooled_block(64, 128),
        Apply(MAXIMUM),
        nn.Linear(128, classes),
    )


def tiny(channels: int, classes: int) -> nn.Sequential:
    """Return the network of the smoke profile, for 8x8 digits."""
    return nn.Sequential(
        *_convolution(channels, 16), *_convolution(16, 32, stride=2), Apply(MAXIMUM), nn.Linear(32, classes)
    )


def strided(channels: int, classes: int) -> nn.Sequential:
    """Return a second small network: strided convolutions in place of pooling, and the mean over positions."""
    return nn.Sequential(
        *_convolution(channels, 16),
        *_convolution(16, 32, stride=2),
        *_convolution(32, 64, stride=2),
        *_convolution(64, 128, stride=2),
        Apply(MEAN),
        nn.Linear(128, classes),
    )


def mlp(features: int, outputs: int) -> nn.Sequential:
    """Return a network with two hidden layers, for rows of a table."""
    return nn.Sequential(
        nn.Linear(features, 128),
        nn.ReLU(inplace=True),
        nn.Linear(128, 128),
        nn.ReLU(inplace=True),
        nn.Linear(128, outputs),
    )


def bag(_: int, outputs: int) -> nn.Sequential:
    """Return a bag of embeddings, for token ids: the mean over the words of a sentence, then a hidden layer."""
    return nn.Sequential(
        nn.EmbeddingBag(VOCABULARY, 128, padding_idx=PADDING),
        nn.Linear(128, 128),
        nn.ReLU(inplace=True),
        nn.Linear(128, outputs),
    )


# the network of the CIFAR speedruns: whitened input, identity initialisation, GELU, norms without scale; after
# KellerJordan/cifar10-airbench (MIT licence; Jordan 2024, arXiv:2404.00498), written anew


class Whitening(nn.Module):
    """Convolution with fixed 2x2 filters that whiten the patches of the training images, and a trained bias.

    Each principal direction has two filters of opposite sign: the non-linearity loses no half of it. Until `fit` is
    called, the filters are random.
    """

    filters: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filters", torch.randn(8 * channels, channels, 2, 2))
        self.bias = nn.Parameter(torch.zeros(8 * channels))

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute the filters from normalised images (N, channels, height, width)."""
        patches = F.unfold(images, 2).transpose(1, 2).flatten(0, 1)  # (all positions, 4 * channels)
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        scaled = (directions / (variances + EPSILON).sqrt()).T.reshape(-1, *self.filters.shape[1:])
        self.filters.copy_(torch.cat([scaled, -scaled]))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.filters, self.bias)


def speedrun(channels: int, classes: int, widths: tuple[int, int, int] = (32, 128, 256)) -> nn.Sequential:
    """Return the network of the desktop profile: by default half as wide as the original, except in the last block."""
    blocks: list[nn.Module] = []
    width = 8 * channels
    for outputs in widths:
        convolution, *others = _layer(width, outputs)
        blocks += [convolution, nn.MaxPool2d(2), *others, *_layer(outputs, outputs)]
        width = outputs
    blocks[-3:] = [Residual([*blocks[-3:], *_layer(width, width)[:-1]], F.gelu)]
    head = [nn.MaxPool2d(3), nn.Flatten(), nn.Linear(width, classes, bias=False), Apply(partial(mul, 1 / 9))]
    return nn.Sequential(Whitening(channels), nn.GELU(), *blocks, *head)


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [_dirac(inputs, outputs), _bias_norm(outputs), nn.GELU()]


def _dirac(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution whose first filters pass their inputs through."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def _bias_norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch normalisation with a trained bias and no scale."""
    layer = nn.BatchNorm2d(channels)
    layer.weight.requires_grad_(False)
    return layer


# name -> function of the size of the second axis of the inputs (channels, features or tokens) and of the outputs
MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "resnet18": resnet18,
    "small": small,
    "speedrun": speedrun,
    "speedrun-wide": partial(speedrun, widths=(64, 256, 512)),
    "speedrun-wider": partial(speedrun, widths=(128, 384, 512)),
    "strided": strided,
    "tiny": tiny,
    "mlp": mlp,
    "bag": bag,
    "minilm": minilm,
    "tiny-bert": tiny_bert,
}


def build_model(name: str, example: Tensor, outputs: int, seed: int) -> nn.Module:
    """Return a model, initialised from `seed` without a change to torch's global random state.

    `example` is a batch of inputs on the CPU; `outputs` the number of classes, 1 for a regression. SpecError if the
    model does not take such inputs: images may be too small for it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[name](example.shape[1], outputs)
    try:
        with torch.no_grad():
            model.eval()(example)
    except (RuntimeError, IndexError, ValueError) as error:
        kind, shape = str(example.dtype).removeprefix("torch."), tuple(example.shape[1:])
        raise SpecError(f"model {name} does not take {kind} inputs of shape {shape}: choose another model") from error
    return model


def _convolution(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _basic_block(inputs: int, outputs: int, stride: int = 1) -> Residual:
    layers = [*_convolution(inputs, outputs, stride), *_convolution(outputs, outputs)[:-1]]
    shortcut = _convolution(inputs, outputs, stride, size=1)[:-1] if stride > 1 or inputs != outputs else ()
    return Residual(layers, torch.relu, shortcut)


def _pooled_block(inputs: int, outputs: int) -> list[nn.Module]:
    convolution, *others = _convolution(inputs, outputs)
    return [convolution, nn.MaxPool2d(2), *others, *_convolution(outputs, outputs)]
