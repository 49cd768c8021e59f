from dataclasses import replace

import pytest
from typer.testing import CliRunner

from dynprune_lib.cli import app
from dynprune_lib.errors import SpecError
from dynprune_lib.experiments.records import Composition
from dynprune_lib.report import compare
from tests.helpers import make_record

GOOD, RANDOM = "tests.own_sampler:LowestLoss", "dynamic-random"
BASE = {"full": 0.9, "rs2": 0.8, "ucb": 0.81, GOOD: 0.85, RANDOM: 0.8, "seta": 0.8}  # test accuracy
WHOLE = {"samples_kept": 1000, "backward_passes": 1000, "forward_passes": 1000}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A function that plans a comparison, with no other records than those of the test."""
    monkeypatch.setattr(compare, "results_dir", lambda given=None: given or tmp_path)
    monkeypatch.setattr(compare, "check_sampler", lambda *_, **__: None)  # two tests below have it

    def planned(sampler=GOOD, profile="smoke", **options):
        return compare.plan_comparison(sampler, profile, **options)

    return planned


def save(store, spec, precision="float32", wrong=None):
    """Save a record whose accuracy follows from the sampler and the seed."""
    kept = round(1000 * (1 - spec.prune_rate))
    accuracy = BASE[spec.sampler] - 0.1 * (spec.sampler == "full" and spec.epochs < 10) + 0.002 * (spec.seed % 3)
    record = make_record(spec)
    passes = dict.fromkeys(WHOLE, kept) | {"test_accuracy": accuracy, "selection_seconds": 0.5}
    start = spec.settings.get("anneal_from")
    changes = [passes | (WHOLE if start is not None and epoch >= start else {}) for epoch in range(spec.epochs)]
    epochs = [replace(epoch, **changed) for epoch, changed in zip(record.epochs, changes, strict=True)]
    each = [wrong] * spec.epochs
    composition = Composition(wrong_labels=each, of_each_class=[[1]] * spec.epochs) if wrong else None
    environment = record.environment | {"precision": precision}
    store.save(replace(record, epochs=epochs, composition=composition, environment=environment), {})


def trained(comparison, **options):
    """Return the comparison after its missing runs were trained."""
    for spec in comparison.to_train("cpu"):
        save(comparison.made, spec, **options)
    return comparison


@pytest.mark.parametrize(("sampler", "decision"), [(GOOD, "holds"), (RANDOM, "open")])
def test_a_good_sampler_is_better_than_its_rivals_and_a_random_one_is_not(plan, sampler, decision):
    comparison = plan(sampler)
    assert [spec.sampler for spec in comparison.to_train("cpu")[:5]] == [sampler, "full", "full", "rs2", "ucb"]
    table = compare.differences_from_rivals(trained(comparison)).set_index("baseline")
    assert table.loc["RS2", "mean"] == pytest.approx(100 * (BASE[sampler] - BASE["rs2"]))
    assert set(table.index) == set(compare.RIVALS)
    assert set(table["saved"]) == {0.5}
    header, _, row = compare.markdown_row(comparison, table.reset_index(), "smoke").splitlines()
    assert header == "| minus RS2 | 50% saved | better? |"
    assert row.endswith(f"± 0.4 | {decision} |")
    assert compare.cost_of_sampler(comparison).loc[0.5].tolist() == [0.5, 0.5, 0.25]  # of 0.5 + 1.5 seconds


def test_records_of_rivals_are_used_at_the_levels_that_they_have(plan):
    whole = plan(profile="laptop", seeds=1)
    assert {whole.role(spec).rate for spec in whole.own} == {0.3, 0.5, 0.7, 0.9}
    known = [spec for spec in whole.rivals if spec.sampler == "full" or whole.role(spec).rate in (0.3, 0.3636)]
    for spec in known:
        for seed in (0, 1):
            save(whole.committed, replace(spec, seed=seed), "float16")  # of no machine
    comparison = plan(profile="laptop", seeds=2)
    assert {comparison.role(spec).rate for spec in comparison.own} == {0.3}
    missing = comparison.to_train("cpu")
    assert sorted(spec.sampler for spec in missing) == ["rs2", GOOD, GOOD]
    assert comparison.repeated("cpu") in missing
    with pytest.raises(SpecError, match=r"2 runs have no record in .*compare: the same command trains them"):
        compare.differences_from_rivals(comparison)
    text = compare.describe(comparison, compare.differences_from_rivals(trained(comparison)), "cpu")
    assert "This machine computes in float32, the records are in float16." in text
    assert "RS2 at 30%, one seed: 80.0 % here, 80.1 ± 1.3 % there" in text


def test_a_sampler_has_the_label_of_its_runs(plan):
    comparison = trained(plan("seta", seeds=1, settings={"fill": False}))
    assert comparison.label == "SeTa, own length"
    assert comparison.label in set(comparison.comparable["method_label"])


def test_with_wrong_labels_half_of_the_compute_is_compared_and_the_share_that_is_kept_is_shown(plan):
    comparison = plan(label_noise=0.2, seeds=2, profile="laptop")
    assert {spec.label_noise for spec in comparison.own + comparison.rivals} == {0.2}
    for spec in comparison.to_train("cpu"):
        save(comparison.made, spec, wrong=200 if spec.sampler == GOOD else 100)
    text = compare.describe(comparison, compare.differences_from_rivals(comparison), "cpu")
    shares = text[text.index("Wrong labels in the subsets, in %:") :]
    assert "LowestLoss                 40.0" in shares
    assert "RS2                        20.0" in shares


def test_a_level_whose_compute_the_sampler_does_not_spend_is_left_out_and_named(plan):
    comparison, table = trained(plan()), compare.differences_from_rivals(trained(plan()))
    for record in plan().records:
        if record.spec.sampler == GOOD:  # as if it had scored all samples first
            epochs = [replace(epoch, forward_passes=1500) for epoch in record.epochs]
            comparison.made.save(replace(record, epochs=epochs), {})
    text = compare.describe(comparison, table, "cpu")
    assert "Not compared, since RS2 has no runs of this compute: the prune rate 50%." in text
    with pytest.raises(SpecError, match=r"LowestLoss cannot be compared: it spends 0.83x the compute of full data"):
        compare.differences_from_rivals(plan())


def test_a_level_that_an_annealed_sampler_cannot_save_is_left_out_and_named(tmp_path):
    settings = {"anneal_from": 14}
    comparison = compare.plan_comparison(GOOD, "laptop", settings=settings, seeds=1, results=tmp_path)
    assert (len(comparison.own), comparison.beyond) == (3, [0.9])
    with pytest.raises(SpecError, match=r"saved is 0.5: lower it, 8 of 10 epochs train on all the data"):
        compare.plan_comparison(GOOD, "smoke", settings={"anneal_from": 2}, results=tmp_path)


def test_wrong_labels_are_in_the_title(plan):
    assert plan(label_noise=0.2).title == "LowestLoss, 20% wrong labels"


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        ("tests.test_testing:Impatient", {}, r"Impatient with .* samples breaks .*other samples after"),
        ("tests.own_sampler:Missing", {}, r"its module has no Missing"),
        ("rs2", {}, r"sampler is rs2, which every method is compared with"),
        (GOOD, {"seeds": 0}, r"seeds is 0"),
        (GOOD, {"label_noise": 1.0}, r"label_noise is 1.0"),
        (GOOD, {"settings": {"nois": 1}}, r"nois"),
        (GOOD, {"profile": "big"}, r"unknown profile 'big'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_training(monkeypatch, tmp_path, sampler, options, message):
    monkeypatch.setattr(compare, "results_dir", lambda given=None: given or tmp_path)
    with pytest.raises(SpecError, match=message):
        compare.plan_comparison(sampler, **{"profile": "smoke"} | options)


@pytest.mark.slow
def test_the_command_trains_what_is_missing_and_writes_a_row_a_table_and_a_figure(tmp_path, monkeypatch):
    monkeypatch.setattr("dynprune_lib.cli_compare.root", lambda: tmp_path)
    monkeypatch.setattr(compare, "results_dir", lambda given=None: given or tmp_path)
    command = ["compare", GOOD, "--profile", "smoke", "--seeds", "1", "--results", str(tmp_path / "own")]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert "LowestLoss keeps the contract; 5 runs to train" in first.stdout
    assert "too few seeds" in first.stdout
    files = {path.name for path in (tmp_path / "reproduced" / "compare").iterdir()}
    assert files == {f"tests.own_sampler-LowestLoss-smoke.{end}" for end in ("csv", "png", "md")}
    again = CliRunner().invoke(app, command).stdout
    assert "runs to train" not in again
    assert f"1 of the 1 runs of {GOOD} are in {tmp_path / 'own' / 'compare'}: if the class has changed since" in again
