"""No step changes the losses of a training: to the last digit where the CPU and torch round as they did then."""

from dataclasses import MISSING, fields

import pytest

from dynprune_lib.experiments.runs import RunSpec, sampler_settings
from tests.golden.training import RUNS, golden, here, losses

GOLDEN = golden()
# differences of the first and of later epochs between AVX-512, AVX2 and SSE4 are at most 0.01 and 0.22
LOOSE = (0.05, 0.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:aum at prune_rate")
@pytest.mark.parametrize("name", RUNS)
def test_no_training_has_other_losses(name, tmp_path, monkeypatch):
    monkeypatch.setenv("DYNPRUNE_CACHE", str(tmp_path))  # locks of its own: one run has its device to itself
    found = losses(name, tmp_path)
    for each in GOLDEN:
        if each["made on"] == here():
            assert found == each["runs"][name]
    elsewhere = GOLDEN[0]["runs"][name]
    assert found["passes"] == elsewhere["passes"]
    first, *later = (abs(a - b) for a, b in zip(found["train_loss"], elsewhere["train_loss"], strict=True))
    assert first <= LOOSE[0]
    assert max(later) <= LOOSE[1]


def test_the_runs_use_every_field_off_its_default():
    unused = {
        field.name
        for field in fields(RunSpec)
        if all(getattr(spec, field.name) == _default(field, spec) for spec in RUNS.values())
    }
    assert unused == set()


def _default(field, spec):
    if field.name == "settings":
        return sampler_settings(spec.sampler)
    return None if field.default is MISSING else field.default
