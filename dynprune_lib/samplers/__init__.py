"""One sampler a file, all under the contract of `base.PruningSampler`."""

from dynprune_lib.samplers.bandits import Bandit
from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.epsilon_greedy import EpsilonGreedy
from dynprune_lib.samplers.static_scored import EL2N, FinalSubset, Forget, GraNd, StaticScored, WithoutGroup
from dynprune_lib.samplers.ucb import UCB
from dynprune_lib.samplers.uniform import DynamicRandom, Full, StaticRandom

# the names on the command line, in profiles and in records; a sampler listed here is held to the contract by the tests
SAMPLERS: dict[str, type[PruningSampler]] = {
    "full": Full,
    "static-random": StaticRandom,
    "dynamic-random": DynamicRandom,
    "epsilon-greedy": EpsilonGreedy,
    "ucb": UCB,
    "forget": Forget,
    "el2n": EL2N,
    "grand": GraNd,
    "final-subset": FinalSubset,
    "without-group": WithoutGroup,
}

__all__ = [
    "EL2N",
    "SAMPLERS",
    "UCB",
    "Bandit",
    "DynamicRandom",
    "EpsilonGreedy",
    "FinalSubset",
    "Forget",
    "Full",
    "GraNd",
    "PruningSampler",
    "StaticRandom",
    "StaticScored",
    "WithoutGroup",
]
