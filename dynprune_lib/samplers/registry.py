"""The samplers by name, as on the command line, in profiles and in records."""

import importlib
from typing import Any

from dynprune_lib.samplers.base import PruningSampler
from dynprune_lib.samplers.cautious_greedy import CautiousGreedy
from dynprune_lib.samplers.dynamic_el2n import DynamicEL2N
from dynprune_lib.samplers.early_losses import CAT, COWERAGE
from dynprune_lib.samplers.early_stopping import InstanceEarlyStopping
from dynprune_lib.samplers.epsilon_greedy import EpsilonGreedy
from dynprune_lib.samplers.epsilon_ucb import EpsilonUCB
from dynprune_lib.samplers.infobatch import InfoBatch
from dynprune_lib.samplers.molpeg import MolPeg
from dynprune_lib.samplers.order_dp import OrderDP
from dynprune_lib.samplers.progressive_dropout import ProgressiveDropout
from dynprune_lib.samplers.proportional import Proportional
from dynprune_lib.samplers.rcap import RCAP
from dynprune_lib.samplers.repb import RePB
from dynprune_lib.samplers.rs2 import RS2
from dynprune_lib.samplers.seta import SeTa
from dynprune_lib.samplers.static_scored import AUM, EL2N, FinalSubset, Forget, GraNd, WithoutGroup
from dynprune_lib.samplers.ucb import UCB
from dynprune_lib.samplers.ucb1 import UCB1
from dynprune_lib.samplers.uniform import DynamicRandom, Full, StaticRandom

# every sampler listed here is held to the contract of `PruningSampler` by the tests
SAMPLERS: dict[str, type[PruningSampler]] = {
    "full": Full,
    "static-random": StaticRandom,
    "dynamic-random": DynamicRandom,
    "epsilon-greedy": EpsilonGreedy,
    "ucb": UCB,
    "ucb1": UCB1,
    "epsilon-ucb": EpsilonUCB,
    "cautious-greedy": CautiousGreedy,
    "proportional": Proportional,
    "rs2": RS2,
    "infobatch": InfoBatch,
    "seta": SeTa,
    "dynamic-el2n": DynamicEL2N,
    "early-stopping": InstanceEarlyStopping,
    "progressive-dropout": ProgressiveDropout,
    "order-dp": OrderDP,
    "repb": RePB,
    "rcap": RCAP,
    "molpeg": MolPeg,
    # static: METHODS in dynprune_lib/experiments/static_scores.py says how each computes its scores
    "forget": Forget,
    "el2n": EL2N,
    "grand": GraNd,
    "aum": AUM,
    "cat": CAT,
    "cowerage": COWERAGE,
    "final-subset": FinalSubset,
    "without-group": WithoutGroup,
}


def sampler_class(name: str) -> type[PruningSampler]:
    """Return the class of a sampler.

    Args:
        name: a name in SAMPLERS, or "module:Class" for a class of your own. Its module must be importable by that name
            in every process, so that workers and later readers of a record find the class, too.

    Raises:
        ValueError: if there is no such sampler; the message lists the known names.

    Example:
        >>> sampler_class("ucb").__name__
        'UCB'
        >>> sampler_class("dynprune_lib.samplers.ucb:UCB").__name__
        'UCB'
    """
    if isinstance(name, str) and name in SAMPLERS:
        return SAMPLERS[name]
    module, separator, class_name = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not (module and separator and class_name) or module.startswith("."):
        raise _unknown(name)
    try:
        found = getattr(importlib.import_module(module), class_name)
    except ImportError as error:
        raise _unknown(name, f" (its module cannot be imported: {error})") from error
    except AttributeError as error:
        raise _unknown(name, f" (its module has no {class_name})") from error
    if not (isinstance(found, type) and issubclass(found, PruningSampler)):
        raise _unknown(name, f" ({class_name} is not a subclass of PruningSampler)")
    return found


def _unknown(name: Any, reason: str = "") -> ValueError:
    known = ", ".join(SAMPLERS)
    return ValueError(
        f'unknown sampler {name!r}{reason}: there are {known} and, for a class of your own, "module:Class"'
    )
