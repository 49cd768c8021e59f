"""One sampler a file, all under the contract of `base.PruningSampler`."""

from dynprune_lib.samplers.bandits import Bandit
from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.dynamic_el2n import DynamicEL2N
from dynprune_lib.samplers.early_stopping import InstanceEarlyStopping
from dynprune_lib.samplers.epsilon_greedy import EpsilonGreedy
from dynprune_lib.samplers.indexed import indexed
from dynprune_lib.samplers.infobatch import InfoBatch
from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.progressive_dropout import ProgressiveDropout
from dynprune_lib.samplers.rs2 import RS2
from dynprune_lib.samplers.seta import SeTa
from dynprune_lib.samplers.static_scored import EL2N, FinalSubset, Forget, GraNd, StaticScored, WithoutGroup
from dynprune_lib.samplers.tilted_rs2 import TiltedRS2
from dynprune_lib.samplers.ucb import UCB
from dynprune_lib.samplers.uniform import DynamicRandom, Full, StaticRandom

# the names on the command line, in profiles and in records; a sampler listed here is held to the contract by the tests
SAMPLERS: dict[str, type[PruningSampler]] = {
    "full": Full,
    "static-random": StaticRandom,
    "dynamic-random": DynamicRandom,
    "epsilon-greedy": EpsilonGreedy,
    "ucb": UCB,
    "rs2": RS2,
    "infobatch": InfoBatch,
    "seta": SeTa,
    "dynamic-el2n": DynamicEL2N,
    "early-stopping": InstanceEarlyStopping,
    "progressive-dropout": ProgressiveDropout,
    "tilted-rs2": TiltedRS2,
    "forget": Forget,
    "el2n": EL2N,
    "grand": GraNd,
    "final-subset": FinalSubset,
    "without-group": WithoutGroup,
}

__all__ = [
    "EL2N",
    "RS2",
    "SAMPLERS",
    "UCB",
    "Bandit",
    "DynamicEL2N",
    "DynamicRandom",
    "EpsilonGreedy",
    "FinalSubset",
    "Forget",
    "Full",
    "GraNd",
    "InfoBatch",
    "InstanceEarlyStopping",
    "LastScore",
    "ProgressiveDropout",
    "PruningSampler",
    "SeTa",
    "StaticRandom",
    "StaticScored",
    "TiltedRS2",
    "WithoutGroup",
    "indexed",
]
