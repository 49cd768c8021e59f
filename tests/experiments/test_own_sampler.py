"""A sampler class of the user's own needs no change of the library."""

import dataclasses

import pytest
import torch

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.runs import RunSpec, validate
from dynprune_lib.experiments.store import Store
from dynprune_lib.experiments.sweep import Plan, sweep
from dynprune_lib.samplers import LastScore
from tests.helpers import results


@dataclasses.dataclass(eq=False)
class LowestLoss(LastScore):
    """Keeps the samples with the lowest last losses."""

    _: dataclasses.KW_ONLY
    noise: float = 0.0

    def select(self):
        noise = self.noise * torch.rand(self.num_samples, generator=self.random_generator("noise", self.epoch))
        return (self.memory["last"].cpu() + noise).argsort()[: self.num_kept]


@dataclasses.dataclass(eq=False)
class OnADevice(LastScore):
    """Has a default that no record can hold."""

    _: dataclasses.KW_ONLY
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (it is immutable)


class Handwritten(LastScore):
    """Has a constructor of its own, with an argument that is required and others by name."""

    def __init__(self, num_samples, prune_rate, *, power, **others):
        super().__init__(num_samples, prune_rate, **others)
        self.power = power


SPEC = RunSpec(
    dataset="digits",
    model="tiny",
    sampler="tests.experiments.test_own_sampler:LowestLoss",
    prune_rate=0.5,
    settings={"noise": 0.1},
    epochs=3,
    batch_size=32,
)


def test_it_is_named_and_its_settings_are_checked():
    assert SPEC.name.startswith("LowestLoss-50-seed0-")
    assert SPEC.settings["warm_up"] == 0
    assert dataclasses.replace(SPEC, settings={}).name != SPEC.name
    with pytest.raises(SpecError, match=r"unknown setting of .*LowestLoss 'c': there are period"):
        validate(dataclasses.replace(SPEC, settings={"c": 1.0}))
    with pytest.raises(SpecError, match="nowhere"):
        dataclasses.replace(SPEC, sampler="nowhere:LowestLoss")


def test_settings_that_no_record_can_hold_are_refused_before_training():
    module = SPEC.sampler.partition(":")[0]
    with pytest.raises(SpecError, match=r"device of .*OnADevice is device\(type='cpu'\): settings are kept .* as JSON"):
        validate(dataclasses.replace(SPEC, sampler=f"{module}:OnADevice", settings={}))
    handwritten = {"sampler": f"{module}:Handwritten"}
    with pytest.raises(SpecError, match=r"power of .*Handwritten has no default: pass it as a setting"):
        validate(dataclasses.replace(SPEC, **handwritten, settings={}))
    assert dataclasses.replace(SPEC, **handwritten, settings={"power": 2}).settings == {"power": 2}


@pytest.mark.slow
def test_it_trains_in_workers_as_in_one_process(tmp_path):
    specs = [SPEC, dataclasses.replace(SPEC, seed=1)]
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    sweep(specs, Plan(one, threads=1))
    sweep(specs, Plan(two, jobs=2, threads=1))
    for spec in specs:
        assert one.load(spec).epochs[-1].samples_kept == 718
        assert results(one.load(spec)) == results(two.load(spec))
