"""Cropping, flipping and normalising of batches, on their device."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dynprune_lib.experiments.data import ImageData, TensorData


def augment(
    images: Tensor, pad: int, flip: bool | Tensor, generator: torch.Generator, padding: str = "zeros"
) -> Tensor:
    """Return random crops of the padded images (B, height, width, channels) uint8, some of them mirrored.

    `flip` mirrors each with probability 1/2, or says which, (B,) bool. The offset of a crop is uniform in [0, 2 * pad].
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
    """Return which samples are mirrored, (N,) bool: each in every other epoch that selects it, from a random side on.

    In two such epochs a sample is seen from both sides (Jordan 2024, arXiv:2404.00498). `views` counts on the CPU how
    many epochs have selected each sample so far.
    """
    first = torch.randint(2, views.shape, generator=torch.Generator().manual_seed(seed))
    return (first + views) % 2 == 1


def prepare(inputs: Tensor, data: TensorData) -> Tensor:
    """Return inputs as a model takes them: images normalised, others unchanged."""
    return normalize(inputs, data) if isinstance(data, ImageData) else inputs


def normalize(images: Tensor, data: ImageData) -> Tensor:
    """Return images (B, height, width, channels) uint8 as float32 (B, channels, height, width), standardised by
    channel."""
    return ((images - data.mean) / data.std).permute(0, 3, 1, 2)
