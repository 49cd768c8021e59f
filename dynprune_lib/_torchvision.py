"""torchvision's data sets, also where its compiled operators do not load: its CUDA build beside torch for the CPU."""

import sys
from types import ModuleType

import torch

_definitions: list[torch.library.Library] = []  # an operator is defined for as long as its Library lives


def torchvision_datasets() -> ModuleType:
    """The module `torchvision.datasets`. Importing it takes a second or two, so only what needs it asks for it."""
    try:
        from torchvision import datasets
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _define_missing_operators()
        from torchvision import datasets
    return datasets


def _define_missing_operators() -> None:
    # torchvision describes these operators to torch when it is imported, which fails if its library did not load;
    # the data sets use neither
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _definitions.append(library)
