"""Cropping, flipping and normalising of batches, on their device."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dynprune_lib.experiments.data import ImageData, TensorData


def augment(
    images: Tensor, pad: int, flip: bool | Tensor, generator: torch.Generator, padding: str = "zeros"
) -> Tensor:
    """Return random crops of the padded images (B, height, width, channels) uint8, some of them mirrored.

    Args:
        images: the images.
        pad: padding on every side, in pixels; the offset of a crop is uniform in [0, 2 * pad].
        flip: whether each image is mirrored with probability 1/2; or (B,) bool, which images are mirrored.
        generator: source of all randomness, on the device of the images.
        padding: "zeros" or "reflect". Default: "zeros".
    """
    batch, height, width, _ = images.shape
    device = images.device
    if padding == "zeros":
        images = F.pad(images, (0, 0, pad, pad, pad, pad))
    top, left = torch.randint(2 * pad + 1, (2, batch, 1), generator=generator, device=device)
    rows = torch.arange(height, device=device) + top
    columns = torch.arange(width, device=device).expand(batch, width)
    if flip is True:
        flip = torch.randint(2, (batch,), generator=generator, device=device, dtype=torch.bool)
    if isinstance(flip, Tensor):
        columns = torch.where(flip[:, None], width - 1 - columns, columns)
    columns = columns + left
    if padding == "reflect":
        rows, columns = _reflect(rows - pad, height), _reflect(columns - pad, width)
    return images[torch.arange(batch, device=device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _reflect(position: Tensor, size: int) -> Tensor:
    return size - 1 - (size - 1 - position.abs()).abs()


def alternating_flips(seed: int, views: Tensor) -> Tensor:
    """Return which samples are mirrored, (N,) bool: each one in every other epoch that selects it, begun at random.

    In two such epochs, a sample is then seen from both sides (Jordan 2024, arXiv:2404.00498). `views`, on the CPU, are
    the numbers of epochs that have selected each sample so far.
    """
    first = torch.randint(2, views.shape, generator=torch.Generator().manual_seed(seed))
    return (first + views) % 2 == 1


def prepare(inputs: Tensor, data: TensorData) -> Tensor:
    """Return inputs as a model takes them: images are normalised, others stay as they are."""
    return normalize(inputs, data) if isinstance(data, ImageData) else inputs


def normalize(images: Tensor, data: ImageData) -> Tensor:
    """Return images (B, height, width, channels) uint8 as float32 (B, channels, height, width), channels last.

    Over the training pixels of each channel, they have mean 0 and standard deviation 1.
    """
    return ((images - data.mean) / data.std).permute(0, 3, 1, 2)
