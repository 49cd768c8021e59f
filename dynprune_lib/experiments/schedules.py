"""Learning-rate schedules over the steps of a run, by name."""

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR


def one_cycle(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Return a linear warm-up from a tenth of the peak over a quarter of the steps, then a linear decay to almost 0."""
    return OneCycleLR(
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        total_steps=steps + 1,  # torch counts the state after the last step as one more step
        pct_start=0.25 if steps != 3 else 0.5,  # a quarter of 3 + 1 steps makes torch divide by zero
        anneal_strategy="linear",
        cycle_momentum=False,
        div_factor=10,
        final_div_factor=1_000,
    )


def cosine(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Return a cosine decay from the peak to 0, without warm-up."""
    return CosineAnnealingLR(optimizer, steps)


# name -> function of the number of steps and the optimizer, whose rates are the peaks
SCHEDULES: dict[str, Callable[[Optimizer, int], LRScheduler]] = {"one-cycle": one_cycle, "cosine": cosine}
