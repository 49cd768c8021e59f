"""Samplers of a user's own, outside the package; worker processes import them from here."""

from dataclasses import KW_ONLY, dataclass

import torch

from dynprune_lib.samplers import LastScore


@dataclass(eq=False)
class LowestLoss(LastScore):
    """Keeps the samples with the lowest last losses."""

    _: KW_ONLY
    noise: float = 0.0

    def select(self):
        noise = self.noise * torch.rand(self.num_samples, generator=self.random_generator("noise", self.epoch))
        return (self.memory["last"].cpu() + noise).argsort()[: self.num_kept]


@dataclass(eq=False)
class OnADevice(LastScore):
    """Has a default that no record can hold."""

    _: KW_ONLY
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (it is immutable)


class Handwritten(LastScore):
    """Has a constructor of its own, with an argument that is required and others by name."""

    def __init__(self, num_samples, prune_rate, *, power, **others):
        super().__init__(num_samples, prune_rate, **others)
        self.power = power
