"""Settings have the right type, are finite and in their range, or a ValueError names them."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from dynprune_lib import UCB, ProgressiveDropout
from dynprune_lib.samplers import (
    CAT,
    EL2N,
    FinalSubset,
    Full,
    StaticScored,
    WithoutGroup,
    setting,
)
from dynprune_lib.samplers.checks import real

NAN, INF = float("nan"), float("inf")
NEVER_RIGHT = ["1", [1], 1j, int, torch.ones(2), np.ones(2), NAN, INF, -1, -0.5]
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


def test_rates_and_numbers_of_samples_and_epochs_at_their_ends(make_one):
    for arguments, message in (
        ((3, 0.9), "keeps none of 3 samples"),
        ((3, 1.0), r"prune_rate is 1\.0: it must be a number in \[0, 1\)"),
        ((2**31 + 1,), "num_samples is 2147483649: it must be an integer from 1 to 2147483648"),
    ):
        with pytest.raises(ValueError, match=message):
            make_one(*arguments)
    assert len(make_one(3, 0.8)) == 1
    for epoch in (-1, 1.5, None, 2**31 - 1):
        with pytest.raises(ValueError, match=f"epoch is {epoch}: it must be an integer from 0 to 2147483646"):
            make_one().set_epoch(epoch)
    make_one().set_epoch(2**31 - 2)


@pytest.mark.parametrize(
    ("make", "wrong", "message"),
    [
        (EL2N, {"models": 0}, "models is 0: it must be an integer of at least 1"),
        (CAT, {"at_epoch": 1}, "at_epoch is 1: it must be an integer of at least 2"),
        (FinalSubset, {"of": "el2n"}, "of is 'el2n': it must be one of .*ucb, "),  # needs scores itself
        (WithoutGroup, {"group": "often"}, "group is 'often': it must be one of never, sometimes, always"),
        (WithoutGroup, {"of_rate": 1.0}, r"of_rate is 1.0: it must be a number in \[0, 1\)"),
        (ProgressiveDropout, {"confidence": 1.0}, "confidence is 1.0"),
        (UCB, {"warm_up": 3, "anneal_from": 2}, "anneal_from is 2: it must be an integer of at least 3"),
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
    found = [real("share", value, interval) for value in inside]
    assert found == inside
    assert all(type(each) is float for each in found)
    for value in outside:
        with pytest.raises(ValueError, match=r"share is .*: it must be a number in "):
            real("share", value, interval)


def test_a_class_that_is_no_dataclass_cannot_declare_settings():
    class Forgetful(Full):
        boredom: float = setting(0.5, "(0, 1]")

    with pytest.raises(TypeError, match=r"Forgetful declares boredom: write @dataclass\(eq=False\) above"):
        Forgetful(40)
