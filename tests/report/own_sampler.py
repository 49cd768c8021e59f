"""A sampler of a user's own, outside the package."""

from dynprune_lib.samplers import DynamicRandom


class Mine(DynamicRandom):
    """A random subset in every period, under another name."""
