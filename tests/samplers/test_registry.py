"""`sampler_class`: the samplers of the library by name, and classes of a user's own by "module:Class"."""

import re

import pytest

from dynprune_lib import SAMPLERS, UCB, PruningSampler
from dynprune_lib.samplers import registry, sampler_class


def test_a_name_of_the_library_and_a_class_of_a_user():
    for name, sampler in SAMPLERS.items():
        assert sampler_class(name) is sampler_class(f"{sampler.__module__}:{sampler.__name__}") is sampler
    own = sampler_class("tests.own_sampler:LowestLoss")
    assert issubclass(own, PruningSampler)
    assert sampler_class("tests.own_sampler:LowestLoss") is own


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "") for name in ("ucb2", "UCB", "", ":UCB", "tests.own_sampler:", ".bandits:UCB", None, ["ucb"])),
        ("broken_samplers_of_a_user:Own", r" \(its module cannot be imported: .*'a_module_that_is_not_installed'\)"),
        ("tests.own_sampler:Other", r" \(its module has no Other\)"),
        ("tests.own_sampler:torch", r" \(torch is not a subclass of PruningSampler\)"),
        ("collections:OrderedDict", r" \(OrderedDict is not a subclass of PruningSampler\)"),
    ],
)
def test_other_names_are_refused(name, reason, tmp_path, monkeypatch):
    (tmp_path / "broken_samplers_of_a_user.py").write_text("import a_module_that_is_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    known = rf"^unknown sampler {re.escape(repr(name))}{reason}: there are .*ucb, .*without-group.* and, .*module:Class"
    with pytest.raises(ValueError, match=known):
        sampler_class(name)


def test_a_class_with_a_name_can_be_found_by_it(monkeypatch):
    monkeypatch.setattr(registry, "SAMPLERS", dict(SAMPLERS))

    def define(is_named=True):
        class Mine(UCB):
            name = "mine" if is_named else ""

        return Mine

    define()
    assert sampler_class("mine") is not define()  # the same class, defined again
    assert define(is_named=False) not in registry.SAMPLERS.values()
    with pytest.raises(TypeError, match=r"Other has the name 'mine', which is that of .*Mine: choose another"):

        class Other(UCB):
            name = "mine"
