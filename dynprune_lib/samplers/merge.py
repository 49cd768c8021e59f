"""Samplers in several processes: who they are, and how their memories become one; in one process, nothing happens."""

import functools
import hashlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch import distributed as dist

Reduce = Callable[[Tensor, str], Tensor]
WAITED = 60.0  # seconds after which a process tells what it waits for
TOGETHER = "set_epoch() and state_dict() are for all processes: call them on all ranks, and save what rank 0 gets"


def world_size() -> int:
    """Return the number of processes; 1 if `torch.distributed` is not initialized."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process; 0 if `torch.distributed` is not initialized."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def over_all_processes(tensor: Tensor, operation: str) -> Tensor:
    """Return the "SUM", "MIN" or "MAX" of a tensor over all processes, on the device of this one's tensor.

    Raises:
        RuntimeError: if other processes do not take part, or end. A process that waits says so after a minute.
    """
    if world_size() == 1:
        return tensor
    # the backend decides where: a process that has recorded nothing yet still has all its tensors on the CPU
    on_cpu = "cpu:" in dist.get_backend_config()
    reduced = tensor.to("cpu" if on_cpu else torch.device("cuda", torch.cuda.current_device()), copy=True)
    text = f"dynprune: rank {rank()} has waited {WAITED:.0f} s for the others: {TOGETHER}\n"
    told = threading.Timer(WAITED, sys.stderr.write, [text])
    told.daemon = True
    told.start()
    try:
        dist.all_reduce(reduced, getattr(dist.ReduceOp, operation))
        if not on_cpu:
            torch.cuda.current_stream().synchronize()  # the call itself does not wait
    except RuntimeError as error:
        raise RuntimeError(f"rank {rank()} could not meet the others ({error}): {TOGETHER}") from error
    finally:
        told.cancel()
    return reduced.to(tensor.device)


def merge(
    parts: Sequence[tuple[Tensor, Mapping[str, Tensor]]],
    first_rank: int = 0,
    reduce: Reduce = lambda tensor, operation: tensor,  # noqa: ARG005 (one process has all parts)
) -> dict[str, Tensor]:
    """Return the memory of several processes together, in new tensors.

    A sample belongs to the lowest rank that has recorded it, and all its rows are those of that rank. The rows of the
    other samples, which are the same in all processes, stay. It does not matter who gave which sample to whom.

    Each part is (N,) bool, which samples a process has recorded since the last merge, and its memory: tensors of shape
    (N,), the same names and types everywhere. If this process has only the parts from `first_rank` on, `reduce` is a
    collective over the others, and all of them call `merge`.

    Example:
        >>> first = torch.tensor([True, True, False, False]), {"last": torch.tensor([1.0, 2.0, 0.0, 9.0])}
        >>> second = torch.tensor([False, True, True, False]), {"last": torch.tensor([0.0, 5.0, torch.inf, 9.0])}
        >>> merge([first, second])
        {'last': tensor([1., 2., inf, 9.])}
    """
    nobody = torch.iinfo(torch.int32).max
    ranks = range(first_rank, first_rank + len(parts))
    claims = [torch.where(marks, of, nobody).int() for of, (marks, _) in zip(ranks, parts, strict=True)]
    owner = reduce(functools.reduce(torch.minimum, claims), "MIN")
    merged = {}
    for name, before in parts[0][1].items():
        # not a product with a mask, which would make infinite rows of others NaN
        rows = [torch.where(owner == of, memory[name], 0) for of, (_, memory) in zip(ranks, parts, strict=True)]
        recorded = reduce(functools.reduce(torch.add, rows), "SUM").to(before.dtype)
        merged[name] = torch.where(owner == nobody, before, recorded)
    return merged


def is_same(tensor: Tensor) -> bool:
    """Return whether a tensor on the CPU is the same in all processes."""
    digest = int.from_bytes(hashlib.blake2b(tensor.numpy().tobytes(), digest_size=7).digest(), "little")
    return int(over_all_processes(torch.tensor([digest, -digest], device="cpu"), "MAX").sum()) == 0
