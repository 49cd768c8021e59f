"""One sampler a file, all under the contract of `base.PruningSampler`."""

from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.epsilon_greedy import EpsilonGreedy
from dynprune_lib.samplers.ucb import UCB
from dynprune_lib.samplers.uniform import DynamicRandom, Full, StaticRandom

# the names on the command line, in profiles and in records; a sampler listed here is held to the contract by the tests
SAMPLERS: dict[str, type[PruningSampler]] = {
    "full": Full,
    "static-random": StaticRandom,
    "dynamic-random": DynamicRandom,
    "epsilon-greedy": EpsilonGreedy,
    "ucb": UCB,
}

__all__ = ["SAMPLERS", "UCB", "DynamicRandom", "EpsilonGreedy", "Full", "PruningSampler", "StaticRandom"]
