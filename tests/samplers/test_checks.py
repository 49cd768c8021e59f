"""Settings have the right type, are finite and in their range, or a ValueError names them."""

import re
from dataclasses import fields

import numpy as np
import pytest
import torch

from dynprune_lib import UCB, InstanceEarlyStopping, ProgressiveDropout
from dynprune_lib.samplers import (
    CAT,
    COWERAGE,
    EL2N,
    SAMPLERS,
    FinalSubset,
    Full,
    GraNd,
    PruningSampler,
    StaticScored,
    WithoutGroup,
    setting,
)
from dynprune_lib.samplers.checks import real
from dynprune_lib.samplers.sampler import MAX_SAMPLES

NAN, INF = float("nan"), float("inf")
NEVER_RIGHT = ["x", "1", "", [], [1], (1,), {}, 1j, object(), int, torch.ones(2), np.ones(2), NAN, INF, -INF, -1, -0.5]
WRONG = {
    int: [*NEVER_RIGHT, None, True, 1.0],
    int | None: [*NEVER_RIGHT, True, 1.0],
    float: [*NEVER_RIGHT, None, True, 10**400, 1e300, torch.tensor(0.5)],
    bool: [*NEVER_RIGHT, None, 0, 1],
    str: [*NEVER_RIGHT, None, True, "UCB"],
}


@pytest.mark.parametrize("make", [UCB, FinalSubset])
def test_a_wrong_value_is_refused_by_name(make):
    given = {"num_samples": 40} | ({"scores": torch.ones(40)} if make is FinalSubset else {})
    for field in (each for each in fields(make) if each.init):
        for wrong in WRONG[field.type]:
            with pytest.raises(ValueError, match=f"{field.name} is "):
                make(**given | {field.name: wrong})


def test_a_rate_that_keeps_nothing_is_refused(make_one):
    with pytest.raises(ValueError, match="keeps none of 3 samples"):
        make_one(3, 0.9)
    with pytest.raises(ValueError, match=r"prune_rate is 1\.0: it must be a number in \[0, 1\)"):
        make_one(3, 1.0)


def test_an_epoch_is_a_number_that_int32_can_hold(make_one):
    for epoch in (-1, 1.5, None):
        with pytest.raises(ValueError, match="epoch is"):
            make_one().set_epoch(epoch)
    with pytest.raises(ValueError, match="epoch is 2147483647: it must be an integer from 0 to 2147483646"):
        make_one().set_epoch(2**31 - 1)
    make_one().set_epoch(2**31 - 2)


@pytest.mark.parametrize(
    ("make", "wrong", "message"),
    [
        (EL2N, {"models": 0}, "models is 0: it must be an integer of at least 1"),
        (CAT, {"at_epoch": 1}, "at_epoch is 1: it must be an integer of at least 2"),
        (COWERAGE, {"strata": 0}, "strata is 0: it must be an integer of at least 1"),
        (GraNd, {"at_epoch": 0}, "at_epoch is 0: it must be an integer of at least 1"),
        (FinalSubset, {"of": "el2n"}, "of is 'el2n': it must be one of .*ucb, "),  # needs scores itself
        (WithoutGroup, {"of": "without-group"}, "of is 'without-group'"),
        (WithoutGroup, {"group": "often"}, "group is 'often': it must be one of never, sometimes, always"),
        (WithoutGroup, {"of_rate": 1.0}, r"of_rate is 1.0: it must be a number in \[0, 1\)"),
        (InstanceEarlyStopping, {"threshold": 0.0}, "threshold is 0.0"),
        (ProgressiveDropout, {"confidence": 1.0}, "confidence is 1.0"),
    ],
)
def test_settings_of_a_sampler_are_refused_out_of_its_range(make, wrong, message):
    with pytest.raises(ValueError, match=message):
        make(40, **({"scores": torch.ones(40)} if issubclass(make, StaticScored) else {}), **wrong)


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("[0, 1)", [0, 0.5, np.float32(0.5), np.int64(0), 1 - 1e-16], [-1e-300, 1, 1.0]),
        ("(0, 1]", [1e-300, 1, True + 0.0], [0, -0.0, 1 + 1e-15]),
        ("[0, 1e38]", [0, 1e38], [INF, NAN, 1.1e38, False]),
    ],
)
def test_ends_of_an_interval(interval, inside, outside):
    for value in inside:
        assert real("share", value, interval) == value
        assert type(real("share", value, interval)) is float
    for value in outside:
        with pytest.raises(ValueError, match=r"share is .*: it must be a number in "):
            real("share", value, interval)


def test_what_is_allowed_is_what_the_docstring_says():
    for sampler in SAMPLERS.values():
        meanings = "".join(each.__doc__ for each in sampler.__mro__ if issubclass(each, PruningSampler))
        for field in fields(sampler):
            if isinstance(field.default, float) and field.default and field.metadata:
                assert f"{field.metadata['allowed']}" in re.search(rf"\n +{field.name}: [^:]*", meanings)[0]
            elif type(field.default) is int:
                least = field.metadata["allowed"][1:].partition(",")[0]
                assert re.search(rf"(at least|from) {least}\b", re.search(rf"\n +{field.name}: [^:]*", meanings)[0])


def test_there_are_no_more_samples_than_int32_can_index():
    assert MAX_SAMPLES == 2**31
    with pytest.raises(ValueError, match="num_samples is 2147483649: it must be an integer from 1 to 2147483648"):
        UCB(2**31 + 1)


def test_a_class_that_is_no_dataclass_cannot_declare_settings():
    class Forgetful(Full):
        boredom: float = setting(0.5, "(0, 1]")

    with pytest.raises(TypeError, match=r"Forgetful declares boredom: write @dataclass\(eq=False\) above"):
        Forgetful(40)
