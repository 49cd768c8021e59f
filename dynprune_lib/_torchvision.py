"""Import of torchvision's data sets that also works if its compiled operators do not match the installed PyTorch.

This is the case for the CUDA build of torchvision next to a CPU build of PyTorch, for example.
"""

import sys
from types import ModuleType

import torch

_definitions: list[torch.library.Library] = []  # an operator exists only as long as its Library object


def torchvision_datasets() -> ModuleType:
    """Return the module `torchvision.datasets`.

    Importing it takes a second or two, so call this only where it is needed.
    """
    try:
        from torchvision import datasets
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _define_missing_operators()
        from torchvision import datasets
    return datasets


def _define_missing_operators() -> None:
    # on import, torchvision registers properties of these two operators, which fails if its library did not define
    # them; the data sets use neither
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _definitions.append(library)
