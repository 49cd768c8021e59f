import warnings

import pytest
import torch
from torch.utils.data import Dataset

from dynprune_lib import UCB, InfoBatch

transformers = pytest.importorskip("transformers")
from dynprune_lib.integrations.huggingface import STATE_FILE, PruningTrainer  # noqa: E402

pytestmark = pytest.mark.slow

SAMPLES, BATCH = 64, 8


class Words(Dataset):
    """Sentences of four words; the first word determines the label."""

    def __len__(self):
        return SAMPLES

    def __getitem__(self, position):
        words = torch.randint(2, 20, (4,), generator=torch.Generator().manual_seed(position))
        return {"input_ids": words, "attention_mask": torch.ones_like(words), "labels": int(words[0] > 10)}


def make_trainer(folder, sampler, **options):
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.set_seed(0)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        report_to="none",
        use_cpu=True,
        **{"disable_tqdm": True, "num_train_epochs": 4, "save_strategy": "epoch", "logging_strategy": "epoch"}
        | options,
    )
    model = transformers.BertForSequenceClassification(config)
    return PruningTrainer(
        model=model, args=arguments, train_dataset=Words(), eval_dataset=Words(), pruning_sampler=sampler
    )


def weights(trainer):
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


def test_pruned_epochs_are_shorter_and_scores_are_recorded(tmp_path):
    sampler = UCB(SAMPLES, 0.5)
    trainer = make_trainer(tmp_path, sampler)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*sampler.*")
        trainer.train()
    assert trainer.state.global_step == 4 * (SAMPLES // 2) // BATCH == sampler.total_steps(4, BATCH)
    assert sampler.epoch == 3
    assert torch.isfinite(sampler.memory["mean"]).all()  # two epochs use every sample once
    assert trainer.evaluate()["eval_loss"] > 0


def test_resuming_from_the_last_checkpoint(tmp_path):
    make_trainer(tmp_path, UCB(SAMPLES, 0.5), num_train_epochs=2).train()
    sampler = UCB(SAMPLES, 0.5)
    trainer = make_trainer(tmp_path, sampler)
    trainer.train(resume_from_checkpoint=True)
    assert (trainer.state.global_step, sampler.epoch) == (16, 3)


VARYING = {"warm_up": 1, "anneal_from": 3}


def test_epochs_may_differ_in_length(tmp_path):
    sampler, lengths = UCB(SAMPLES, 0.5, **VARYING), []
    trainer = make_trainer(tmp_path, sampler, lr_scheduler_type="linear", logging_strategy="steps", logging_steps=1)
    trainer.pruning_sampler.update = lambda *args: lengths.append(sampler.epoch) or UCB.update(sampler, *args)
    trainer.train()
    assert [lengths.count(epoch) for epoch in range(4)] == [8, 4, 4, 8]
    assert trainer.state.global_step == trainer.state.max_steps == sampler.total_steps(4, BATCH) == 24
    rates = [log["learning_rate"] for log in trainer.state.log_history if "learning_rate" in log]
    assert len(rates) == 24
    assert rates[-1] == pytest.approx(trainer.args.learning_rate / 24)  # the schedule ends with the run
    epochs = [log["epoch"] for log in trainer.state.log_history if "learning_rate" in log]
    assert [epochs[7], epochs[11], epochs[15], epochs[23]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "steps", "epochs"),
    [
        ({"num_train_epochs": 2.5}, 14, 3),
        ({"max_steps": 13}, 13, 3),
        pytest.param({"max_steps": 30}, 30, 5, marks=pytest.mark.full),
        ({"num_train_epochs": 4, "gradient_accumulation_steps": 3}, 3 + 2 + 2 + 3, 4),
    ],
)
def test_the_run_ends_at_the_right_step(tmp_path, options, steps, epochs):
    sampler = UCB(SAMPLES, 0.5, **VARYING)
    trainer = make_trainer(tmp_path, sampler, save_strategy="no", **options)
    trainer.train()
    assert trainer.state.global_step == trainer.state.max_steps == steps
    assert (trainer.state.num_train_epochs, sampler.epoch) == (epochs, epochs - 1)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.full)])
@pytest.mark.parametrize("accumulate", [1, pytest.param(3, marks=pytest.mark.full)])
def test_resuming_at_any_step_is_bit_for_bit_equal(tmp_path, accumulate, workers):
    options = {"gradient_accumulation_steps": accumulate, "dataloader_num_workers": workers, "save_strategy": "steps"}
    whole = UCB(SAMPLES, 0.5, **VARYING)
    expected = make_trainer(tmp_path, whole, save_steps=1, **options)
    expected.train()
    last = expected.state.max_steps
    for step in (2, 3, last - 2) if workers else (1, 3, 5, 7, 8, 9, 16, 20):  # in epochs of 8, 4, 4 and 8 batches
        if step >= last:
            break
        assert (tmp_path / f"checkpoint-{step}" / STATE_FILE).exists()
        sampler = UCB(SAMPLES, 0.5, **VARYING)
        trainer = make_trainer(tmp_path / "again", sampler, save_steps=100, **options)
        trainer.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert trainer.state.global_step == last
        assert torch.equal(sampler.memory["mean"], whole.memory["mean"]), step
        assert torch.equal(weights(trainer), weights(expected)), step


def test_samples_per_second_are_those_that_were_trained_on(tmp_path):
    result = make_trainer(tmp_path, UCB(SAMPLES, 0.5, warm_up=1), save_strategy="no").train().metrics
    trained = result["train_samples_per_second"] * result["train_runtime"]
    assert trained == pytest.approx(SAMPLES + 3 * SAMPLES // 2, rel=0.01)


def test_what_was_saved_is_printed_and_logged(tmp_path, capsys):
    sampler = UCB(SAMPLES, 0.5, warm_up=1)
    trainer = make_trainer(tmp_path, sampler)
    trainer.train()
    (logged,) = [log for log in trainer.state.log_history if "pruning_passes_made" in log]
    assert (logged["pruning_passes_made"], logged["pruning_passes_left_out"]) == (160, 96)
    assert f"Pruning: {sampler.report()}" in capsys.readouterr().out
    again = make_trainer(tmp_path, UCB(SAMPLES, 0.5, warm_up=1))
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-16"))
    assert again.pruning_sampler.report() == sampler.report()


def test_epochs_of_their_own_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"fill is False: .* must know its steps, so use InfoBatch\(.*fill=True"):
        make_trainer(tmp_path, InfoBatch(SAMPLES, 0.0, fill=False))


def test_the_private_methods_of_trainer_are_there():
    for name in ("_run_epoch", "_init_training_state", "_remove_unused_columns", "_get_collator_with_removed_columns"):
        assert callable(getattr(transformers.Trainer, name))
