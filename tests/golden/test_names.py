"""No step changes the name of a planned run, or the content or the name of a record."""

import subprocess

import pytest

from tests.golden import names, read


def test_no_run_has_another_name():
    planned, golden = set(names.run_names()), set(read("names.txt"))
    assert sorted(planned - golden) == []
    assert sorted(golden - planned) == []


def test_no_record_is_rewritten():
    changed = [line for line in read("records.txt") if names.record_line(line.split(" ", 1)[1]) != line]
    assert changed == []


def test_every_committed_record_is_in_the_net():
    try:
        committed = names.record_lines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout")
    assert sorted(set(committed) - set(read("records.txt"))) == []


def test_the_spec_of_every_record_gives_its_file_name():
    assert names.misnamed_records() == []
