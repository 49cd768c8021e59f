"""Dynamic EL2N: the samples with the largest error norm, looked at again every period."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from dynprune_lib.samplers.last_score import LastScore
from dynprune_lib.samplers.selection import topk_random_ties


@dataclass(eq=False)
class DynamicEL2N(LastScore):
    """The samples with the highest last EL2N, in the manner of Attendu and Corbeil (2023, NLU on Data Diets): all the
    data in the first epochs (`warm_up`), then the top share, and new scores of all samples every period, which the
    loop that calls this makes (`observe`; `--rescore` on the command line).
    """

    required_score: ClassVar[str] = "el2n"

    def select(self) -> Tensor:
        return topk_random_ties(self.last, self.num_kept, self.generator("ties", self.period_number))
