from dataclasses import replace

import pytest
import torch

from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.corruption import add_label_noise, data_of, make_imbalanced
from dynprune_lib.experiments.data import Split
from dynprune_lib.experiments.make import make_run
from dynprune_lib.experiments.records import RunRecord


def test_so_many_labels_become_any_other_one_and_only_they(digits):
    noisy = add_label_noise(digits, 0.2, seed=1)
    changed = noisy.train.labels != digits.train.labels
    assert int(changed.sum()) == round(0.2 * len(digits.train))
    assert noisy.wrong.equal(changed)
    assert noisy.train.images.equal(digits.train.images)
    assert noisy.test is digits.test
    assert noisy.train.labels.equal(add_label_noise(digits, 0.2, seed=1).train.labels)
    assert not noisy.train.labels.equal(add_label_noise(digits, 0.2, seed=0).train.labels)
    many = replace(digits, train=Split(digits.train.images, torch.full((1437,), 3)))
    counts = torch.bincount(add_label_noise(many, 0.9, seed=0).train.labels, minlength=10)
    others, expected = counts[torch.arange(10) != 3].double(), 0.9 * 1437 / 9
    assert ((others - expected).square() / expected).sum() < 20.1  # chi-squared with 8 degrees of freedom, 99 %


def test_classes_become_rarer_by_one_factor(digits):
    rare = make_imbalanced(digits, 50, seed=0)
    smallest = int(torch.bincount(digits.train.labels).min())
    assert torch.bincount(rare.train.labels).tolist() == [round(smallest * 50 ** (-place / 9)) for place in range(10)]
    pairs, whole = (
        {(image.numpy().tobytes(), int(label)) for image, label in zip(part.images, part.labels, strict=True)}
        for part in (rare.train, digits.train)
    )
    assert pairs <= whole


@pytest.mark.parametrize(
    ("change", "amount", "classes", "message"),
    [
        (make_imbalanced, 1000, "0123456789", "imbalance is 1000: the last class of digits has no sample left"),
        (make_imbalanced, 2, "0", "has no second class"),
        (add_label_noise, 0.5, "0", "has no second class"),
    ],
)
def test_a_class_without_samples_or_without_others_is_refused(digits, change, amount, classes, message):
    with pytest.raises(SpecError, match=message):
        change(replace(digits, classes=tuple(classes)), amount, seed=0)


def test_held_out_samples_keep_their_labels_and_the_record_tells_what_was_selected(digits, store, spec):
    spec = replace(spec, validation=300, label_noise=0.2, imbalance=5)
    data, clean = data_of(digits, spec), data_of(digits, replace(spec, label_noise=0.0, imbalance=1))
    assert len(data.test) == 300
    assert data.test.labels.equal(clean.test.labels)
    assert len(data.wrong) == len(data.train)
    record = make_run(spec, digits, store)
    counts, wrong = record.composition.of_each_class, record.composition.wrong_labels
    assert [sum(epoch) for epoch in counts] == [epoch.samples_kept for epoch in record.epochs]
    assert all(0 < number <= int(data.wrong.sum()) for number in wrong)
    assert RunRecord.from_json(record.to_json()) == record
