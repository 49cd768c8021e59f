import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from dynprune_lib import UCB, indexed

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
        disable_tqdm=True,
        use_cpu=True,
        **{"num_train_epochs": 4, "save_strategy": "epoch", "logging_strategy": "epoch"} | options,
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
    assert torch.isfinite(sampler.mean).all()  # two epochs use every sample once
    assert trainer.evaluate()["eval_loss"] > 0


@pytest.mark.parametrize("options", [{}, {"save_strategy": "steps", "save_steps": 6}])
def test_resuming_from_a_checkpoint_restores_the_scores(tmp_path, options):
    whole, parts = UCB(SAMPLES, 0.5), UCB(SAMPLES, 0.5)
    expected = make_trainer(tmp_path / "whole", whole)
    expected.train()
    trainer = make_trainer(tmp_path / "whole", parts, **options)
    step = 6 if options else 8  # in the middle and at the end of an epoch
    if options:
        make_trainer(tmp_path / "steps", UCB(SAMPLES, 0.5), **options).train()
    checkpoint = tmp_path / ("steps" if options else "whole") / f"checkpoint-{step}"
    assert (checkpoint / STATE_FILE).exists()
    trainer.train(resume_from_checkpoint=str(checkpoint))
    assert torch.equal(parts.mean, whole.mean)
    assert torch.equal(weights(trainer), weights(expected))


def test_resuming_from_the_last_checkpoint(tmp_path):
    make_trainer(tmp_path, UCB(SAMPLES, 0.5), num_train_epochs=2).train()
    sampler = UCB(SAMPLES, 0.5)
    trainer = make_trainer(tmp_path, sampler)
    trainer.train(resume_from_checkpoint=True)
    assert (trainer.state.global_step, sampler.epoch) == (16, 3)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (UCB(SAMPLES + 1, 0.5), "train_dataset has 64 samples, but the sampler was made for 65"),
        (
            UCB(SAMPLES, 0.5, warm_up=1),
            r"Trainer assumes that all epochs have as many steps as the first: do not use warm_up \(1\)",
        ),
    ],
)
def test_wrong_use_is_refused(tmp_path, sampler, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(tmp_path, sampler)


def test_a_custom_loop_with_accelerate():
    accelerate = pytest.importorskip("accelerate")
    accelerator, sampler = accelerate.Accelerator(cpu=True), UCB(SAMPLES, 0.5)
    model, dataset = torch.nn.Linear(4, 2), indexed(Words(), key="index")
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    loader = DataLoader(dataset, batch_size=BATCH, sampler=sampler)  # not prepared: the sampler makes its own shards
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for batch in loader:
            batch = {name: values.to(accelerator.device) for name, values in batch.items()}
            losses = F.cross_entropy(model(batch["input_ids"].float()), batch["labels"], reduction="none")
            optimizer.zero_grad()
            accelerator.backward(sampler.update(batch["index"], losses))
            optimizer.step()
    assert len(loader) == SAMPLES // 2 // BATCH
    assert torch.isfinite(sampler.mean).all()
