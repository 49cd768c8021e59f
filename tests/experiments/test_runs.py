import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.records import Cost, LastEpoch, LeftOut, RunRecord
from dynprune_lib.experiments.runs import RunSpec, validate
from tests.helpers import make_record, tiny

BASE = {"dataset": "digits", "model": "tiny"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "full-0-seed0-cc0255cf03d0"),
        ({"sampler": "ucb", "prune_rate": 0.7, "settings": {"c": 2.0}, "seed": 3}, "ucb-70-seed3-5b786f560fed"),
        ({"sampler": "ucb", "prune_rate": 0.7, "settings": {"std_bonus": True}}, "ucb-70-seed0-9f43b6737fa4"),
        ({"sampler": "forget", "prune_rate": 0.5}, "forget-50-seed0-6688816c1e76"),
        ({"sampler": "forget", "prune_rate": 0.5, "seed": 1000}, "forget-50-seed1000-1f3840a19d6b"),
    ],
)
def test_a_name_tells_what_it_is_and_is_the_same_forever(fields, name):
    assert tiny(**fields).name == name  # a changed name would orphan the committed records


def test_the_name_of_a_static_run_tells_that_its_scores_are_of_its_own_seed():
    # names up to version 0.2, when all seeds had the scores of seed 0, are those of seed 0 and of scorings alone
    assert tiny("forget", 0.5, seed=1).name != "forget-50-seed1-bd91a16768f7"


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


def test_every_field_makes_another_run():
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


def test_a_samplers_defaults_are_written_out_and_make_no_other_run():
    spec = tiny("ucb", 0.5)
    common = {"period": 1, "warm_up": 0, "anneal_from": None, "rescale": False}
    assert spec.settings == common | {"alpha": 0.5, "from_zero": False, "c": 1.0, "std_bonus": False}
    assert tiny("ucb", 0.5, settings={"c": 1.0}).name == spec.name


def test_a_number_without_a_point_is_the_same_setting():
    whole, real = (tiny("ucb", 0.5, settings={"c": c, "period": 2}) for c in (2, 2.0))
    assert whole.name == real.name
    assert [type(whole.settings[name]) for name in ("c", "period", "std_bonus")] == [float, int, bool]


def test_a_former_name_of_a_setting_is_the_same_run():
    old, new = ({"sampler": "ucb", "prune_rate": 0.7, "settings": {name: True}} for name in ("root", "std_bonus"))
    assert tiny(**old) == tiny(**new)
    content = make_record(tiny(**new)).to_json()
    assert RunRecord.from_json(content.replace("std_bonus", "root")) == RunRecord.from_json(content)


def test_a_sampler_that_is_of_one_score_gets_it():
    spec = tiny("dynamic-el2n", 0.5, rescore=True)
    assert spec.score == "el2n"
    assert RunSpec.from_dict(dataclasses.asdict(spec)) == spec


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sampler": "ucbb"}, "unknown sampler 'ucbb': there are epsilon-greedy, ucb, "),
        (
            {"model": "vgg"},
            "unknown model 'vgg': there are resnet18, small, speedrun, speedrun-wide, speedrun-wider, strided, tiny",
        ),
        ({"precision": "float16"}, "unknown precision 'float16': there are float32, bfloat16"),
        (
            {"sampler": "ucb", "settings": {"epsilon": 1}},
            "unknown setting of ucb 'epsilon': there are period, warm_up, anneal_from, rescale, alpha, from_zero, ",
        ),
        ({"sampler": "dynamic-el2n", "score": "entropy"}, "score is entropy: dynamic-el2n needs el2n"),
        (
            {"sampler": "progressive-dropout", "score": "margin"},
            "progressive-dropout needs loss",
        ),
        ({"sampler": "rs2", "rescore": True}, "rs2 does not use scores from training"),
        ({"sampler": "seta", "settings": {"random_from": 16}}, "random_from of seta is 16: .* at most 15"),
        ({"sampler": "ucb", "score": "loss-difference"}, "score is loss-difference: it needs a sampler"),
        ({"epochs": 0}, "epochs is 0"),
        ({"seed": 2**32}, "seed is 4294967296: it must be an integer from 0 to 4294967295"),
        ({"init_seed": 2**32}, "init_seed is 4294967296"),
        ({"prune_rate": 1.0}, "prune_rate is 1.0: it must be a number in"),
        ({"trace": 9}, "trace is 9: full does not use scores"),
        ({"sampler": "ucb", "settings": {"period": 17}}, "period of ucb is 17: it must be at most 16 in 16 epochs"),
        ({"sampler": "ucb", "settings": {"warm_up": 16}}, "warm_up of ucb is 16: it must be at most 15 in 16 epochs"),
        (
            {"sampler": "el2n", "settings": {"at_epoch": 20}},
            "at_epoch of el2n is 20: it must be at most 16",
        ),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"lr": 0.1}, "unknown field of a run 'lr': there are dataset, model"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(wrong, message):
    with pytest.raises(ValueError, match=message):
        RunSpec.from_dict(BASE | wrong)


@given(st.floats(0, 0.99), st.integers(0, 10**6), st.floats(1e-6, 10))
def test_a_record_survives_json(rate, seed, learning_rate):
    spec = tiny("dynamic-random", rate, seed=seed, learning_rate=learning_rate)
    last = LastEpoch(class_accuracy=[0.5, 1.0], calibration_error=0.1)
    left_out = LeftOut(overlap=[None, 0.5], wanted=[0.7, None], median_absence=1, longest_absence=2)
    record = make_record(spec)
    for each in (record, dataclasses.replace(record, last_epoch=last, left_out=left_out)):
        assert RunRecord.from_json(each.to_json()) == each
    assert RunRecord.from_json(record.to_json()).spec.name == spec.name


def test_accuracy_is_of_the_last_epoch_and_time_without_evaluation():
    record = make_record(tiny(epochs=4))
    record.epochs[-1] = dataclasses.replace(record.epochs[0], test_accuracy=0.1)
    assert record.test_accuracy == 0.1
    assert record.training == Cost(seconds=4 * 3 * 1.5, forward_passes=8, backward_passes=8)


OWN = tiny(sampler="tests.own_sampler:LowestLoss", prune_rate=0.5, settings={"noise": 0.1}, epochs=3)


def test_a_sampler_of_ones_own_is_named_and_its_settings_are_checked():
    assert OWN.name.startswith("LowestLoss-50-seed0-")
    assert OWN.settings["warm_up"] == 0
    assert dataclasses.replace(OWN, settings={}).name != OWN.name
    required = {"sampler": "tests.own_sampler:Handwritten", "settings": {"power": 2}}
    assert dataclasses.replace(OWN, **required).settings == {"power": 2}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"settings": {"c": 1.0}}, "unknown setting of .*LowestLoss 'c': there are period"),
        ({"sampler": "nowhere:LowestLoss"}, "nowhere"),
        (
            {"sampler": "tests.own_sampler:OnADevice", "settings": {}},
            r"device of .*OnADevice is device\(type='cpu'\): it must be JSON",
        ),
        (
            {"sampler": "tests.own_sampler:Handwritten", "settings": {}},
            "power of .*Handwritten has no default: pass it as a setting",
        ),
    ],
)
def test_what_no_record_of_ones_own_sampler_can_hold_is_refused_before_training(wrong, message):
    with pytest.raises(SpecError, match=message):
        validate(dataclasses.replace(OWN, **wrong))
