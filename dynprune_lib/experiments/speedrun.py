"""The network of the CIFAR speedruns: whitened input, identity initialisation, GELU, norms without scale.

After KellerJordan/cifar10-airbench (MIT licence; Jordan 2024, arXiv:2404.00498), written anew.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WHITENED = 5_000  # images from which the whitening is estimated
MOMENTUM = 0.1  # of the running statistics of norms, as in torch
EPSILON = 5e-4  # added to the variances, so that directions without signal are not blown up


class Whitening(nn.Module):
    """Convolution with fixed 2x2 filters that whiten the patches of the training images, and a trained bias.

    Each principal direction of the patches has two filters of opposite sign, so that no half of it is lost in the
    non-linearity. Until `fit` is called, the filters are random.

    Args:
        channels: of the images.

    Example:
        >>> layer = Whitening(3)
        >>> layer.fit(torch.randn(100, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
        >>> layer(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 24, 7, 7])
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


class BiasNorm(nn.BatchNorm2d):
    """Batch normalisation with a bias and no scale."""

    scale: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=MOMENTUM, affine=False)
        self.register_buffer("scale", torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        statistics, trained = (self.running_mean, self.running_var), (self.scale, self.bias)
        return F.batch_norm(x, *statistics, *trained, self.training, MOMENTUM, self.eps)


class Residual(nn.Module):
    """Two convolutions, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(*_layer(channels, channels), _convolution(channels, channels), BiasNorm(channels))
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x + self.residual(x))


class Scale(nn.Module):
    """Multiplication by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def speedrun(
    channels: int, classes: int, widths: tuple[int, int, int] = (32, 128, 256), residuals: int = 1
) -> nn.Sequential:
    """Return the network of the desktop profile.

    Args:
        channels: of the images.
        classes: number of classes.
        widths: of its three blocks. Default: half of the original's but in the last block.
        residuals: number of blocks, the last ones, with a residual of two convolutions in place of the second one.
            Default: 1.
    """
    blocks: list[nn.Module] = []
    width = 8 * channels
    for number, outputs in enumerate(widths):
        blocks += [_convolution(width, outputs), nn.MaxPool2d(2), BiasNorm(outputs), nn.GELU()]
        blocks += [Residual(outputs)] if number >= len(widths) - residuals else _layer(outputs, outputs)
        width = outputs
    head = [nn.MaxPool2d(3), nn.Flatten(), nn.Linear(width, classes, bias=False), Scale(1 / 9)]
    return nn.Sequential(Whitening(channels), nn.GELU(), *blocks, *head)


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [_convolution(inputs, outputs), BiasNorm(outputs), nn.GELU()]


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution whose first filters pass their inputs through."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer
