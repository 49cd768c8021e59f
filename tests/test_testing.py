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


def refused(sampler, promise, **settings):
    """Check that a sampler is refused for breaking a promise, and return the rest of the sentence."""
    with pytest.raises(AssertionError) as raised:
        check_sampler(sampler, **settings)
    who, _, told = str(raised.value).partition(" breaks the promise that ")
    (whole,) = [each for each in PROMISES if promise in each]
    assert told.startswith(f"{whole}: "), told
    assert who.startswith(sampler.__name__)
    return f"{who.removeprefix(sampler.__name__)}: {told.removeprefix(f'{whole}: ')}"


def test_a_sampler_that_keeps_all_promises_is_accepted_and_no_global_state_changes():
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    check_sampler(Hardest)
    check_sampler(Hardest, prune_rate=0.8)
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    assert not dist.is_initialized()


def test_a_function_gives_a_setting_with_a_value_for_each_sample():
    @dataclass(eq=False)
    class ByPrice(PruningSampler):
        prices: torch.Tensor = None

        def settings(self):
            return super().settings() | {"prices": self.prices.sum().item()}

        def select(self):
            return self.prices.argsort()[: self.num_kept]

    check_sampler(ByPrice, prices=lambda num_samples: torch.arange(num_samples) * 7 % 5)


def test_settings_that_no_sampler_can_have_are_an_error_of_their_own():
    with pytest.raises(ValueError, match=r"prune_rate is 1\.5"):
        check_sampler(Hardest, prune_rate=1.5)


def test_sizes_that_the_settings_do_not_allow_are_left_out():
    @dataclass(eq=False)
    class OfFour(Hardest):
        least: int = setting(4, "[1, inf)")

        def __post_init__(self):
            super().__post_init__()
            if self.num_samples < self.least:
                raise ValueError(f"num_samples is {self.num_samples}")

    check_sampler(OfFour)


class Greedy(Hardest):
    def select(self):
        return self.memory["last"].argsort()[: self.num_kept + 1]


class Repeating(Hardest):
    def select(self):
        return super().select()[:1].repeat(self.num_kept)


class Outside(Hardest):
    def select(self):
        return super().select() + 1


class CutShort(Hardest):
    def __iter__(self):
        return iter(self.indices()[1:].tolist())


class PrefersNumbers(Hardest):
    def select(self):
        return super().select()[: 1 if self.memory["last"].max() > 1e14 else None]


class AlwaysPruned(Hardest):
    def indices(self):
        return super().indices()[: self.num_kept]


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        (Greedy, " with 2 samples: RuntimeError: Greedy.select returned 2 samples, not 1"),
        (Repeating, " with 3 samples: epoch 1 has a sample several times in ["),
        (Outside, " with 2 samples: epoch 1 has samples {2}, which are not in the data set"),
        (CutShort, " with 2 samples: epoch 0 has 1 samples, not 2"),
        (PrefersNumbers, " with 3 samples: RuntimeError: PrefersNumbers.select returned 1 samples, not 2"),
        (AlwaysPruned, " with 2 samples: epoch 0 has 1 samples, not 2"),
    ],
)
def test_other_epochs_than_promised_are_refused_at_the_smallest_number_of_samples(sampler, told):
    assert refused(sampler, "an epoch has `num_kept` different samples").startswith(told)


class Restless(DynamicRandom):
    @property
    def period_number(self):
        return self.epoch

    def _phase(self, epoch):
        return None if self._uses_all(epoch) else epoch


class Impatient(Hardest):
    def record(self, index, scores, usable):
        super().record(index, scores, usable)
        self._selected = None


class TwoMinds(Hardest):
    def subset(self):
        return super().subset().flip(0)


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        (Restless, "has other samples than epoch 0"),
        (Impatient, "has other samples after"),
        (TwoMinds, "and the subset"),
    ],
)
def test_a_selection_that_changes_within_a_period_or_an_epoch_is_refused(sampler, told):
    assert told in refused(sampler, "the epochs of a period have one subset")


def draws(draw):
    """Return a sampler whose selection makes a random draw, or sets a random state."""

    def select(self):
        draw()
        return Hardest.select(self)

    return type("Drawing", (Hardest,), {"select": select})


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("Python", random.random),
        ("NumPy", np.random.rand),
        ("PyTorch", lambda: torch.rand(1)),
        ("PyTorch", lambda: torch.manual_seed(0)),
    ],
)
def test_global_random_states_that_change_are_refused(name, draw):
    assert f"changes the random state of {name}" in refused(draws(draw), "the global random states")


class Reading(DynamicRandom):
    def random_generator(self, purpose, *time):
        return super().random_generator(f"{purpose}{torch.initial_seed()}", *time)


def test_a_global_seed_that_is_read_is_refused():
    assert "other global seeds give other samples" in refused(Reading, "the global random states")


class OwnGenerator(DynamicRandom):
    def __post_init__(self):
        super().__post_init__()
        self.draws = 0

    def select(self):
        self.draws += 1
        return self.random_subset("draw", self.draws)


class Counting(DynamicRandom):
    made = 0

    def __post_init__(self):
        super().__post_init__()
        type(self).made += 1
        self.number = self.made

    def select(self):
        return self.random_subset("draw", self.number)


class InOrder(Hardest):
    def indices(self):
        return super().indices().sort().values


class Unseeded(DynamicRandom):
    def random_generator(self, purpose, *time):
        return torch.Generator().manual_seed(hash((purpose == "order", time)) % 2**32)


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        (OwnGenerator, "epoch 5 has other samples if the epochs before are left out"),
        (InOrder, "two epochs have the same order"),
        (Unseeded, "the seeds 0 and 1 give the same orders"),
    ],
)
def test_samples_that_depend_on_more_or_less_than_seed_and_epoch_are_refused(sampler, told):
    assert told in refused(sampler, "the samples depend on seed, epoch and scores alone")


def test_samples_that_depend_on_other_samplers_are_refused():
    refused(Counting, "the global random states")  # where two runs are compared first


class Everything(Hardest):
    def record(self, index, scores, usable):  # noqa: ARG002 (which is the fault)
        self.memory["last"][index] = scores


class Spoiling(Hardest):
    """One score that is not finite changes what is remembered of the others."""

    def record(self, index, scores, usable):
        super().record(index, scores - scores.mean(), usable)


class Silent(Hardest):
    def set_epoch(self, epoch):
        self._usage.not_finite = None
        super().set_epoch(epoch)


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        (Everything, " with 2 samples: a score of nan changes what is remembered"),
        (Spoiling, " with 3 samples: a score of nan changes what is remembered"),
        (Silent, " with 2 samples: after a score of nan, set_epoch gives 0 warnings of it"),
    ],
)
def test_scores_that_are_not_finite_and_recorded_or_hidden_are_refused(sampler, told):
    assert refused(sampler, "scores which are not finite") == told


class OtherType(Hardest):
    def record(self, index, scores, usable):
        super().record(index, scores, usable)
        self.memory["last"] = self.memory["last"].double()


class OutOfRange(Hardest):
    remembers: ClassVar = {"last": Memory(torch.inf, low=0)}


@pytest.mark.parametrize(("sampler", "told"), [(OtherType, "float64"), (OutOfRange, "not in [0, inf]")])
def test_a_memory_that_is_not_as_declared_is_refused(sampler, told):
    assert told in refused(sampler, "the memory has the types and ranges")


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


def test_a_state_that_does_not_resume_a_run_is_refused():
    assert "has other samples" in refused(Forgetful, "a sampler resumes from its saved state")
    assert "a run that is resumed" in refused(OpenState, "a sampler resumes from its saved state")
    assert "Weights only load failed" in refused(UnsafeState, "a sampler resumes from its saved state")


class NoPickle(Hardest):
    def __post_init__(self):
        super().__post_init__()
        self.key = lambda score: -score


class Divided(Hardest):
    def __deepcopy__(self, _):
        return type(self)(self.num_samples, self.prune_rate)


def test_a_sampler_that_cannot_be_copied_is_refused_but_its_class_may_be_local():
    class Local(Hardest):
        pass

    check_sampler(Local)
    assert "lambda" in refused(NoPickle, "a sampler can be copied and pickled")
    assert "a copy has other samples" in refused(Divided, "a sampler can be copied and pickled")


class OfRank(DynamicRandom):
    def select(self):
        return self.random_subset("draw", self.period_number, dist.get_rank() if dist.is_initialized() else 0)


class Spreading(Hardest):
    """It changes what it remembers of samples that are not in the batch."""

    def record(self, index, scores, usable):
        self.memory["last"].mul_(torch.where(usable.any(), 0.9, 1.0))
        super().record(index, scores, usable)


class Unshared(Hardest):
    def indices(self):
        return self._subset.long()[torch.randperm(len(self._subset), generator=self.random_generator("", self.epoch))]


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        (OfRank, "process 1 of 2 has another subset in epoch"),
        (Spreading, "another subset in epoch"),
        (Unshared, "the shares"),
    ],
)
def test_samplers_that_depend_on_the_process_are_refused(sampler, told):
    assert told in refused(sampler, "processes select the same")


READS = [torch.Tensor.item, torch.Tensor.cpu, torch.Tensor.tolist, torch.Tensor.numpy, bool, torch.Tensor.nonzero]


@pytest.mark.parametrize("read", READS)
def test_a_sampler_that_waits_for_the_device_is_refused_without_a_gpu(read):
    class Waiting(Hardest):
        def record(self, index, scores, usable):
            if len(index):
                read(scores.sum())
            super().record(index, scores, usable)

    refused(Waiting, "recording never waits for the device")


class NeverEmpty(Hardest):
    def record(self, index, scores, usable):
        super().record(index, scores, usable)
        self.memory["last"][0] += len(index) == 0


class EachTime(LastScore):
    remembers: ClassVar = LastScore.remembers | {"count": Memory(0, torch.int32)}

    def record(self, index, scores, usable):
        super().record(index, scores, usable)
        self.memory["count"].index_add_(0, index, usable.int())

    def select(self):
        return self.highest()


class OneType(Hardest):
    def update(self, index, losses, scores=None, *, per_sample=True):
        return super().update(index, losses, scores, per_sample=per_sample).float()


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        (NeverEmpty, "an empty batch changes the state"),
        (EachTime, "a sample that is twice in a batch"),
        (OneType, "losses of torch.float16 give a loss of torch.float32"),
    ],
)
def test_batches_that_a_sampler_cannot_take_are_refused(sampler, told):
    assert told in refused(sampler, "batches may be empty")


class OfDefaultType(DynamicRandom):
    def select(self):
        return torch.rand(self.num_samples, generator=self.random_generator("", self.epoch)).argsort()[: self.num_kept]


def test_a_sampler_that_follows_the_default_type_of_pytorch_is_refused():
    refused(OfDefaultType, "the default type of tensors")


class Improbable(DynamicRandom):
    def keep_probability(self):
        return torch.zeros(self.num_kept)


def test_weights_that_are_not_positive_numbers_are_refused():
    assert refused(Improbable, "the weights of rescaled losses") == " with 2 samples: they are [nan]"


def test_the_samplers_of_the_page_on_your_own_method_keep_the_contract(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/your-own-method.md").read_text(), re.DOTALL)
    (tmp_path / "my_method.py").write_text("".join(blocks[:2]))
    monkeypatch.syspath_prepend(tmp_path)
    (check,) = blocks[2:]
    exec(check)
    check_sampler(importlib.import_module("my_method").Nearest, quantile=0.9)
