"""`check_sampler` on small samplers that cheat; `tests/samplers/test_contract.py` has those of the library."""

import importlib
import random
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import distributed as dist

from dynprune_lib import DynamicRandom
from dynprune_lib.samplers import LastScore, Memory, PruningSampler, setting
from dynprune_lib.testing import PROMISES, check_sampler
from tests.helpers import ROOT


class Hardest(LastScore):
    """It keeps all promises, and the samplers below break one each."""

    def select(self):
        return self.highest()


@dataclass(eq=False)
class OfFour(Hardest):
    least: int = setting(4, "[1, inf)")

    def __post_init__(self):
        super().__post_init__()
        if self.num_samples < self.least:
            raise ValueError(f"num_samples is {self.num_samples}")


@dataclass(eq=False)
class ByPrice(PruningSampler):
    prices: torch.Tensor = None

    def settings(self):
        return super().settings() | {"prices": self.prices.sum().item()}

    def select(self):
        return self.prices.argsort()[: self.num_kept]


def test_samplers_that_keep_all_promises_are_accepted_and_no_global_state_changes():
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    local = type("Local", (OfFour,), {})  # pickle does not find it; too few samples for it are left out
    check_sampler(local, prune_rate=0.8)
    check_sampler(ByPrice, prices=lambda num_samples: torch.arange(num_samples) * 7 % 5)
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    assert not dist.is_initialized()


def test_settings_that_no_sampler_can_have_are_an_error_of_their_own():
    with pytest.raises(ValueError, match=r"prune_rate is 1\.5"):
        check_sampler(Hardest, prune_rate=1.5)


def changed(base, **methods):
    """Return a subclass with other methods."""
    return type("Changed", (base,), methods)


def drawing(draw):
    """Return a sampler whose selection makes a random draw."""

    def select(self):
        draw()
        return self.highest()

    return changed(Hardest, select=select)


def reading(self, index, scores, usable):
    if len(index) and scores.sum() > 0:
        Hardest.record(self, index, scores, usable)


class Restless(DynamicRandom):
    period_number = property(lambda self: self.epoch)

    def _phase(self, epoch):
        return None if self._uses_all(epoch) else epoch


class Impatient(Hardest):
    def record(self, index, scores, usable):
        super().record(index, scores, usable)
        self._selected = None


class Reading(DynamicRandom):
    def random_generator(self, purpose, *time):
        return super().random_generator(f"{purpose}{torch.initial_seed()}", *time)


class OwnGenerator(DynamicRandom):
    draws = 0

    def select(self):
        self.draws += 1
        return self.random_subset("draw", self.draws)


class Unseeded(DynamicRandom):
    def random_generator(self, purpose, *time):
        return torch.Generator().manual_seed(hash((purpose == "order", time)) % 2**32)


class Silent(Hardest):
    def set_epoch(self, epoch):
        self._usage.not_finite = None
        super().set_epoch(epoch)


class Forgetful(LastScore):
    """It keeps a part of what it knows outside of its memory."""

    def __post_init__(self):
        super().__post_init__()
        self.best = torch.zeros(self.num_samples)

    def record(self, index, scores, usable):
        super().record(index, scores, usable)
        self.best = self.best.to(scores.device)
        self.best[index] = torch.where(usable, torch.maximum(self.best[index], scores), self.best[index])

    def select(self):
        return self.best.argsort(stable=True)[: self.num_kept]


class OpenState(Hardest):
    def state_dict(self):
        return super().state_dict() | {"memory": self.memory}

    def load_state_dict(self, state, skip_trained=False):
        super().load_state_dict(state, skip_trained)
        self.memory = {name: tensor.zero_() for name, tensor in self.memory.items()}


class UnsafeState(Hardest):
    def state_dict(self):
        return super().state_dict() | {"self": type(self)}


class NoPickle(Hardest):
    def __post_init__(self):
        super().__post_init__()
        self.key = lambda score: -score


class Spreading(Hardest):
    """It changes what it remembers of samples that are not in the batch."""

    def record(self, index, scores, usable):
        self.memory["last"].mul_(torch.where(usable.any(), 0.9, 1.0))
        super().record(index, scores, usable)


class Unshared(Hardest):
    def indices(self):
        return self._subset.long()[torch.randperm(len(self._subset), generator=self.random_generator("", self.epoch))]


class NeverEmpty(Hardest):
    def record(self, index, scores, usable):
        super().record(index, scores, usable)
        self.memory["last"][0] += len(index) == 0


class EachTime(Hardest):
    remembers: ClassVar = LastScore.remembers | {"count": Memory(0, torch.int32)}

    def record(self, index, scores, usable):
        super().record(index, scores, usable)
        self.memory["count"].index_add_(0, index, usable.int())


class OfDefaultType(DynamicRandom):
    def select(self):
        return torch.rand(self.num_samples, generator=self.random_generator("", self.epoch)).argsort()[: self.num_kept]


select, record = Hardest.select, Hardest.record
BROKEN = {  # the beginning of a promise -> samplers that break it, and what is told of them
    "an epoch has `num_kept` different samples": [
        (
            changed(Hardest, select=lambda self: select(self)[:1].repeat(self.num_kept)),
            " with 3 samples: epoch 1 has a sample several times in [",
        ),
        (changed(Hardest, select=lambda self: select(self) + 1), " with 2 samples: epoch 1 has samples {2}, which are"),
        (
            changed(Hardest, __iter__=lambda self: iter(self.indices()[1:].tolist())),
            " with 2 samples: epoch 0 has 1 samples, not 2",
        ),
        (
            changed(Hardest, select=lambda self: select(self)[: 1 if self.memory["last"].max() > 1e14 else None]),
            " with 3 samples: RuntimeError: Changed.select returned 1 samples, not 2",
        ),
    ],
    "the epochs of a period have one subset": [
        (Restless, "has other samples than epoch 0"),
        (Impatient, "has other samples after"),
        (changed(Hardest, subset=lambda self: Hardest.subset(self).flip(0)), "and the subset"),
    ],
    "the global random states": [
        (drawing(random.random), "changes the random state of Python"),
        (drawing(np.random.rand), "changes the random state of NumPy"),
        (drawing(lambda: torch.rand(1)), "changes the random state of PyTorch"),
        (Reading, "other global seeds give other samples"),
    ],
    "the samples depend on seed, epoch and scores alone": [
        (OwnGenerator, "epoch 5 has other samples if the epochs before are left out"),
        (changed(Hardest, indices=lambda self: Hardest.indices(self).sort().values), "two epochs have the same order"),
        (Unseeded, "the seeds 0 and 1 give the same orders"),
    ],
    "scores which are not finite": [
        (
            changed(Hardest, record=lambda self, index, scores, ok: record(self, index, scores - scores.mean(), ok)),
            " with 3 samples: a score of nan changes what is remembered",
        ),
        (Silent, " with 2 samples: after a score of nan, set_epoch gives 0 warnings of it"),
    ],
    "the memory has the types and ranges": [
        (changed(Hardest, remembers={"last": Memory(torch.inf, low=0)}), "not in [0, inf]"),
    ],
    "a sampler resumes from its saved state": [
        (Forgetful, "has other samples"),
        (OpenState, "a run that is resumed"),
        (UnsafeState, "Weights only load failed"),
    ],
    "a sampler can be copied and pickled": [
        (NoPickle, "lambda"),
        (
            changed(Hardest, __deepcopy__=lambda self, _: type(self)(self.num_samples, self.prune_rate)),
            "a copy has other samples",
        ),
    ],
    "processes select the same": [
        (Spreading, "process 0 of 2 has another subset in epoch"),
        (Unshared, "the shares"),
    ],
    "recording never waits for the device": [(changed(Hardest, record=reading), "")],
    "batches may be empty": [
        (NeverEmpty, "an empty batch changes the state"),
        (EachTime, "a sample that is twice in a batch"),
        (
            changed(Hardest, update=lambda *given, **named: Hardest.update(*given, **named).float()),
            "losses of torch.float16 give a loss of torch.float32",
        ),
    ],
    "the default type of tensors": [(OfDefaultType, "")],
    "the weights of rescaled losses": [
        (changed(DynamicRandom, keep_probability=lambda self: torch.zeros(self.num_kept)), "2 samples: they are [nan]")
    ],
}


@pytest.mark.parametrize("promise", BROKEN)
def test_a_sampler_that_breaks_a_promise_is_refused_at_the_smallest_number_of_samples(promise):
    (whole,) = [each for each in PROMISES if each.startswith(promise)]
    for sampler, told in BROKEN[promise]:
        with pytest.raises(AssertionError) as raised:
            check_sampler(sampler)
        who, _, what = str(raised.value).partition(" breaks the promise that ")
        assert who.startswith(sampler.__name__)
        assert what.startswith(f"{whole}: ")
        assert told in f"{who.removeprefix(sampler.__name__)}: {what.removeprefix(f'{whole}: ')}"


def test_every_promise_is_broken_by_a_sampler():
    assert all(any(promise.startswith(begin) for begin in BROKEN) for promise in PROMISES)


def test_the_samplers_of_the_page_on_your_own_method_keep_the_contract(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/your-own-method.md").read_text(), re.DOTALL)
    (tmp_path / "my_method.py").write_text("".join(blocks[:2]))
    monkeypatch.syspath_prepend(tmp_path)
    (check,) = blocks[2:]
    exec(check)
    check_sampler(importlib.import_module("my_method").Nearest, quantile=0.9)


def test_the_random_numbers_of_the_page_keep_the_contract():
    page = (ROOT / "docs/your-own-method.md").read_text()
    recipe = re.search(r"`(torch\.rand\(n, .*)\.to\(last\.device\)`", page).group(1)

    def select(self):
        return eval(recipe, {"torch": torch, "self": self, "n": self.num_samples}).argsort()[: self.num_kept]

    check_sampler(changed(DynamicRandom, select=select))
