import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.records import Cost, LastEpoch, LeftOut, RunRecord
from dynprune_lib.experiments.runs import RunSpec, validate
from tests.helpers import make_record, tiny

OTHERS = {
    "sampler": "epsilon-greedy",
    "settings": {"c": 0.5},
    "score": "entropy",
    "optimizer": "adamw",
    "schedule": "cosine",
    "flip": "alternating",
    "padding": "reflect",
    "precision": "bfloat16",
    "pad": 2,
    "init_seed": 1,
}


def test_every_field_makes_another_run():  # that names stay the same is held by the golden net
    spec, names = tiny(prune_rate=0.5), set()
    for each in dataclasses.fields(RunSpec):
        value = getattr(spec, each.name)
        other = OTHERS.get(each.name, f"other {value}" if isinstance(value, str) else not value)
        if type(value) in (int, float):
            other = value + (0.1 if isinstance(value, float) else 1)
        names.add(dataclasses.replace(spec, **{each.name: other}).name)
    assert len(names | {spec.name}) == len(dataclasses.fields(RunSpec)) + 1


def test_no_sampler_is_built_where_a_record_is_read(monkeypatch):
    record = make_record(tiny("ucb", 0.5))
    monkeypatch.setattr(RunSpec, "make_sampler", lambda *_: pytest.fail("built"))
    content = json.loads(record.to_json())
    del content["scoring"]  # as in records of version 0.1
    assert RunRecord.from_json(json.dumps(content)) == record


def test_settings_written_in_several_ways_are_one_run():
    spec = tiny("ucb", 0.5)
    common = {"period": 1, "warm_up": 0, "anneal_from": None, "rescale": False}
    assert spec.settings == common | {"alpha": 0.5, "from_zero": False, "c": 1.0, "std_bonus": False}
    assert tiny("ucb", 0.5, settings={"c": 1.0}).name == spec.name
    whole, real = (tiny("ucb", 0.5, settings={"c": c, "period": 2}) for c in (2, 2.0))
    assert whole.name == real.name
    assert [type(whole.settings[name]) for name in ("c", "period", "std_bonus")] == [float, int, bool]
    old, new = (tiny("ucb", 0.7, settings={name: True}) for name in ("root", "std_bonus"))  # its former name
    assert old == new
    content = make_record(new).to_json()
    assert RunRecord.from_json(content.replace("std_bonus", "root")) == RunRecord.from_json(content)
    scored = tiny("dynamic-el2n", 0.5, rescore=True)
    assert scored.score == "el2n"
    assert RunSpec.from_dict(dataclasses.asdict(scored)) == scored


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sampler": "ucbb"}, "unknown sampler 'ucbb': there are epsilon-greedy, ucb, "),
        ({"model": "vgg"}, "unknown model 'vgg': there are resnet18, small, "),
        ({"precision": "float16"}, "precision is 'float16': it must be one of float32, bfloat16"),
        ({"sampler": "ucb", "settings": {"epsilon": 1}}, "unknown setting of ucb 'epsilon': there are period, warm_up"),
        ({"sampler": "dynamic-el2n", "score": "entropy"}, "score is entropy: dynamic-el2n needs el2n"),
        ({"sampler": "rs2", "rescore": True}, "rs2 does not use scores from training"),
        ({"sampler": "seta", "settings": {"random_from": 16}}, "random_from of seta is 16: .* at most 15"),
        ({"sampler": "ucb", "score": "loss-difference"}, "score is loss-difference: it needs a sampler"),
        ({"epochs": 0}, "epochs is 0"),
        ({"seed": 2**32}, "seed is 4294967296: it must be an integer from 0 to 4294967295"),
        ({"prune_rate": 1.0}, "prune_rate is 1.0: it must be a number in"),
        ({"trace": 9}, "trace is 9: full does not use scores"),
        ({"sampler": "ucb", "settings": {"period": 17}}, "period of ucb is 17: it must be at most 16 in 16 epochs"),
        ({"sampler": "ucb", "settings": {"warm_up": 16}}, "warm_up of ucb is 16: it must be at most 15 in 16 epochs"),
        ({"sampler": "el2n", "settings": {"at_epoch": 20}}, "at_epoch of el2n is 20: it must be at most 16"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"lr": 0.1}, "unknown field of a run 'lr': there are dataset, model"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(wrong, message):
    with pytest.raises(ValueError, match=message):
        RunSpec.from_dict({"dataset": "digits", "model": "tiny"} | wrong)


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 0.99), st.integers(0, 10**6), st.floats(1e-6, 10))
def test_a_record_survives_json(rate, seed, learning_rate):
    record = make_record(tiny("dynamic-random", rate, seed=seed, learning_rate=learning_rate))
    last = LastEpoch(class_accuracy=[0.5, 1.0], calibration_error=0.1)
    left_out = LeftOut(overlap=[None, 0.5], wanted=[0.7, None], median_absence=1, longest_absence=2)
    for each in (record, dataclasses.replace(record, last_epoch=last, left_out=left_out)):
        assert RunRecord.from_json(each.to_json()) == each
    assert RunRecord.from_json(record.to_json()).spec.name == record.spec.name


def test_accuracy_is_of_the_last_epoch_and_time_without_evaluation():
    record = make_record(tiny(epochs=4))
    record.epochs[-1] = dataclasses.replace(record.epochs[0], test_accuracy=0.1)
    assert record.test_accuracy == 0.1
    assert record.training == Cost(seconds=4 * 3 * 1.5, forward_passes=8, backward_passes=8)


OWN = tiny(sampler="tests.own_sampler:LowestLoss", prune_rate=0.5, settings={"noise": 0.1}, epochs=3)
HANDWRITTEN = {"sampler": "tests.own_sampler:Handwritten", "settings": {}}


def test_a_sampler_of_ones_own_is_named_and_its_settings_are_checked():
    assert OWN.name.startswith("LowestLoss-50-seed0-")
    assert OWN.settings["warm_up"] == 0
    assert dataclasses.replace(OWN, settings={}).name != OWN.name
    assert dataclasses.replace(OWN, **HANDWRITTEN | {"settings": {"power": 2}}).settings == {"power": 2}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"settings": {"c": 1.0}}, "unknown setting of .*LowestLoss 'c': there are period"),
        ({"sampler": "nowhere:LowestLoss"}, "nowhere"),
        ({"sampler": "tests.own_sampler:OnADevice", "settings": {}}, r"device of .*OnADevice is .*: it must be JSON"),
        (HANDWRITTEN, "power of .*Handwritten has no default: pass it as a setting"),
    ],
)
def test_what_no_record_of_ones_own_sampler_can_hold_is_refused_before_training(wrong, message):
    with pytest.raises(SpecError, match=message):
        validate(dataclasses.replace(OWN, **wrong))
