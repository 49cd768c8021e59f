import dataclasses

import pytest
import torch

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.corruption import add_label_noise, data_of, make_imbalanced
from dynprune_lib.experiments.data import Split
from dynprune_lib.experiments.make import make_run
from dynprune_lib.experiments.records import RunRecord
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.experiments.store import Store


def spec_of(**fields):
    return RunSpec(**({"dataset": "digits", "model": "tiny", "epochs": 3, "batch_size": 32} | fields))


@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.4])
def test_so_many_labels_become_another_one_and_only_they(digits, fraction):
    noisy = add_label_noise(digits, fraction, seed=1)
    changed = noisy.train.labels != digits.train.labels
    assert int(changed.sum()) == round(fraction * len(digits.train))
    assert noisy.wrong.equal(changed)
    assert noisy.train.images.equal(digits.train.images)
    assert noisy.test is digits.test


def test_every_other_label_is_equally_likely(digits):
    many = dataclasses.replace(digits, train=Split(digits.train.images, torch.full((1437,), 3)))
    counts = torch.bincount(add_label_noise(many, 0.9, seed=0).train.labels, minlength=10)
    others = counts[torch.arange(10) != 3].double()
    expected = 0.9 * 1437 / 9
    assert ((others - expected).square() / expected).sum() < 20.1  # chi-squared with 8 degrees of freedom, 99 %


def test_a_seed_decides_the_noise(digits):
    first, again, other = (add_label_noise(digits, 0.3, seed) for seed in (0, 0, 1))
    assert first.train.labels.equal(again.train.labels)
    assert not first.train.labels.equal(other.train.labels)


def test_classes_become_rarer_by_one_factor(digits):
    rare = make_imbalanced(digits, 50, seed=0)
    sizes = torch.bincount(rare.train.labels).tolist()
    smallest = int(torch.bincount(digits.train.labels).min())
    assert sizes == [round(smallest * 50 ** (-place / 9)) for place in range(10)]
    pairs = {(image.numpy().tobytes(), int(label)) for image, label in zip(*vars(digits.train).values(), strict=True)}
    assert all(
        (image.numpy().tobytes(), int(label)) in pairs for image, label in zip(*vars(rare.train).values(), strict=True)
    )


def test_a_class_without_samples_is_refused(digits):
    with pytest.raises(SpecError, match="imbalance is 1000: the last class of digits has no sample left"):
        make_imbalanced(digits, 1000, seed=0)


@pytest.mark.parametrize("change", [make_imbalanced, add_label_noise])
def test_one_class_has_no_other(digits, change):
    with pytest.raises(SpecError, match="has no second class"):
        change(dataclasses.replace(digits, classes=("all",)), 2, seed=0)


def test_held_out_samples_keep_their_labels(digits):
    data = data_of(digits, spec_of(validation=300, label_noise=0.5, imbalance=10))
    assert len(data.test) == 300
    clean = data_of(digits, spec_of(validation=300))
    assert data.test.labels.equal(clean.test.labels)
    assert len(data.wrong) == len(data.train)


def test_the_record_tells_what_was_selected(digits, tmp_path):
    spec = spec_of(sampler="ucb", prune_rate=0.5, label_noise=0.2, imbalance=5)
    record = make_run(spec, digits, Store(tmp_path))
    data = data_of(digits, spec)
    counts, wrong = record.composition.of_each_class, record.composition.wrong_labels
    assert [sum(epoch) for epoch in counts] == [epoch.samples_kept for epoch in record.epochs]
    assert all(0 < number <= int(data.wrong.sum()) for number in wrong)
    assert RunRecord.from_json(record.to_json()) == record
