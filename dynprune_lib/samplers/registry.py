"""The samplers by name, as on the command line, in profiles and in records."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynprune_lib.samplers.sampler import PruningSampler

SAMPLERS: dict[str, type["PruningSampler"]] = {}  # every class that has a `name`


def register(sampler: type["PruningSampler"], name: str) -> None:
    """Add a class under its name.

    Raises:
        TypeError: if another class has this name. The same class may be defined again, as in a notebook.
    """
    known = SAMPLERS.get(name, sampler)
    if (known.__module__, known.__qualname__) != (sampler.__module__, sampler.__qualname__):
        raise TypeError(
            f"{sampler.__module__}.{sampler.__qualname__} has the name {name!r}, which is that of"
            f" {known.__module__}.{known.__qualname__}: choose another"
        )
    SAMPLERS[name] = sampler


def sampler_class(name: str) -> type["PruningSampler"]:
    """Return the class of a sampler.

    Args:
        name: a name in SAMPLERS, or "module:Class" for a class of your own. Its module must be importable by that name
            in every process, so that workers and later readers of a record find the class, too.

    Raises:
        ValueError: if there is no such sampler; the message lists the known names.

    Example:
        >>> sampler_class("ucb").__name__
        'UCB'
        >>> sampler_class("dynprune_lib.samplers.bandits:UCB").__name__
        'UCB'
    """
    from dynprune_lib.samplers.sampler import PruningSampler  # which imports this module

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
