"""What every sampler selects in eight epochs of synthetic losses, as hashes: in one process and on two."""

import hashlib
import tempfile
import warnings
from pathlib import Path

import torch
from torch import distributed as dist
from torch import multiprocessing

from dynprune_lib.samplers import RCAP, SAMPLERS, StaticScored
from tests.helpers import free_port

NUM_SAMPLES, EPOCHS, BATCH, WORLD = 203, 8, 16, 2
GENERAL = {"period": 2, "warm_up": 1, "anneal_from": 7, "seed": 3}
OWN = {  # off their defaults in the second setting of a sampler
    "dynamic-random": {"rescale": True},
    "epsilon-greedy": {"alpha": 0.2, "epsilon": 0.3, "rescale": True},
    "ucb": {"alpha": 0.2, "from_zero": True, "c": 3.0, "std_bonus": True},
    "ucb1": {"alpha": 0.2, "from_zero": True, "c": 3.0},
    "epsilon-ucb": {"alpha": 0.2, "c": 3.0, "epsilon": 0.3},
    "cautious-greedy": {"alpha": 0.2},
    "proportional": {"alpha": 0.2},
    "infobatch": {"fill": False, "r": 0.7, "rescale": True},
    "seta": {"fill": False, "groups": 4, "window": 0.6, "random_from": 6, "anneal_from": None},
    "early-stopping": {"fill": False, "threshold": 0.5},
    "progressive-dropout": {"fill": False, "confidence": 0.5},
    "order-dp": {"at_random": 0.5},
    "repb": {"fill": False, "r": 0.7, "rescale": True},
    "rcap": {"beta": 0.4},
    "cowerage": {"strata": 4},
    "without-group": {"group": "always"},
    "always-first": {"redraw": True},
}


def all_hashes():
    """Return one line per sampler, setting and number of processes: a hash per epoch."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        other = multiprocessing.spawn(_as_second, args=(port, folder), join=False)  # this process is the first of both
        lines = [f"{case} in 1 process: {' '.join(epochs)}" for case, epochs in _hashes().items()]
        first = _as_rank(0, port)
        while not other.join():
            pass
        second = torch.load(Path(folder) / "hashes.pt")
    for case in first:
        together = [" ".join(both) for both in zip(first[case], second[case], strict=True)]
        lines.append(f"{case} in {WORLD} processes: {', '.join(together)}")
    return lines


def _as_second(_, port, folder):
    torch.set_num_threads(1)
    torch.save(_as_rank(1, port), Path(folder) / "hashes.pt")


def _as_rank(rank, port):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=WORLD)
    try:
        return _hashes()
    finally:
        dist.destroy_process_group()


def _hashes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that all of them get the same scores, and odd settings, is meant
        return {
            f"{name}, {which}": _hashes_of(_make(name, is_second))
            for name in sorted(SAMPLERS)
            for which, is_second in (("usual settings", False), ("other settings", True))
        }


def _make(name, is_second):
    settings, rate = {}, 0.5
    if is_second:
        settings, rate = GENERAL | OWN.get(name, {}), 0.3
    index = torch.arange(NUM_SAMPLES)
    if issubclass(SAMPLERS[name], StaticScored):
        settings["scores"] = index % 3 if name == "without-group" else _losses(index, epoch=0)
    if issubclass(SAMPLERS[name], RCAP):
        settings["labels"] = index % 3
    return SAMPLERS[name](NUM_SAMPLES, 0.0 if name == "full" else rate, **settings)


def _hashes_of(sampler):
    """Return a hash per epoch of the subset, the order and the weights of the losses."""
    hashes = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        order = sampler.indices()
        content = [sampler.subset(), order]
        for index in order.split(BATCH):
            sampler.update(index, _losses(index, epoch))
        # neither the loss nor the memory: how they are rounded depends on the CPU, and what follows from them does not
        weights = sampler.state_dict()["weights"]
        content += [] if weights is None else [weights]
        digest = hashlib.sha256()
        for tensor in content:
            digest.update(tensor.cpu().numpy().tobytes())
        hashes.append(digest.hexdigest()[:10])
    return hashes


def _losses(index, epoch):
    """Return losses between 0 and 4 that fall with the epochs, of some samples more than of others; some are equal."""
    hardness = (index * 37 % 101).float() / 25
    noise = ((index * 53 + epoch * 29) % 97).float() / 97
    return hardness / (1 + epoch * (index % 5).float() / 4) * (0.5 + 0.5 * noise)
