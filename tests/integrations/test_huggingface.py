"""PruningTrainer: lengths of epochs, resuming, and options and methods of `Trainer`, each honoured or refused."""

import warnings

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch.utils.data import IterableDataset
from transformers import PretrainedConfig, Trainer, TrainingArguments

from dynprune_lib import UCB, DynamicEL2N, InfoBatch
from dynprune_lib.integrations.huggingface import INDEX_KEY, STATE_FILE, PruningMixin, PruningTrainer

pytestmark = pytest.mark.slow
FULL = pytest.mark.full

SAMPLES, BATCH = 64, 8
VARYING = {"warm_up": 1, "anneal_from": 3}  # epochs of 8, 4, 4 and 8 batches
X = torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(0))
DATA = [{"x": x, "labels": int(x[0] > 0), "note": None} for x in X]  # the model does not take the note


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.config, self.layers = PretrainedConfig(), torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(4, 2))

    def forward(self, x, labels=None):
        logits = self.layers(x)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def make(sampler=None, cls=PruningTrainer, dataset=DATA, losses_of=None, **options):
    own = {name: options.pop(name) for name in ("compute_loss_func", "data_collator") if name in options}
    defaults = {"output_dir": "run", "num_train_epochs": 4, "per_device_train_batch_size": BATCH, "save_strategy": "no"}
    defaults |= {"report_to": "none", "disable_tqdm": True, "use_cpu": True, "logging_strategy": "epoch"}
    options = {"train_dataset": dataset, "pruning_sampler": sampler or UCB(SAMPLES, 0.5), "losses_of": losses_of} | {
        "args": TrainingArguments(**defaults | options),
        "eval_dataset": DATA,
    }
    return cls(Net(), **options, **own)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


# Lengths and resuming ------------------------------------------------------------------------------------------------


def test_pruned_epochs_are_shorter_scores_are_recorded_and_what_was_saved_is_printed_and_logged(capsys):
    sampler = UCB(SAMPLES, 0.5)
    trainer = make(sampler)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*sampler.*")
        result = trainer.train().metrics
    assert trainer.state.global_step == 4 * (SAMPLES // 2) // BATCH == sampler.total_steps(4, BATCH)
    assert sampler.epoch == 3
    assert torch.isfinite(sampler.memory["mean"]).all()  # two epochs use every sample once
    assert trainer.evaluate()["eval_loss"] > 0
    (logged,) = [log for log in trainer.state.log_history if "pruning_passes_made" in log]
    assert (logged["pruning_passes_made"], logged["pruning_passes_left_out"]) == (128, 128)
    assert f"Pruning: {sampler.report()}" in capsys.readouterr().out
    assert result["train_samples_per_second"] * result["train_runtime"] == pytest.approx(128, rel=0.01)


@pytest.mark.parametrize(
    ("options", "steps", "epochs"),
    [
        ({}, 24, 4),
        ({"num_train_epochs": 2.5}, 14, 3),
        ({"max_steps": 13}, 13, 3),
        ({"max_steps": 30}, 30, 5),
        ({"num_train_epochs": 4, "gradient_accumulation_steps": 3}, 3 + 2 + 2 + 3, 4),
    ],
)
def test_the_run_ends_at_the_right_step(options, steps, epochs):
    sampler, lengths = UCB(SAMPLES, 0.5, **VARYING), []
    trainer = make(sampler, lr_scheduler_type="linear", logging_strategy="steps", logging_steps=1, **options)
    trainer.pruning_sampler.update = lambda *args: lengths.append(sampler.epoch) or UCB.update(sampler, *args)
    trainer.train()
    assert trainer.state.global_step == trainer.state.max_steps == steps
    assert (trainer.state.num_train_epochs, sampler.epoch) == (epochs, epochs - 1)
    logs = [log for log in trainer.state.log_history if "learning_rate" in log]
    assert logs[-1]["learning_rate"] == pytest.approx(trainer.args.learning_rate / steps)  # it ends with the run
    if not options:
        assert steps == sampler.total_steps(4, BATCH)
        assert [lengths.count(epoch) for epoch in range(4)] == [8, 4, 4, 8]
        assert [logs[step]["epoch"] for step in (7, 11, 15, 23)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("accumulate", "workers"), [(1, 0), *(pytest.param(*each, marks=FULL) for each in ((3, 0), (1, 2)))]
)
def test_resuming_at_any_step_is_bit_for_bit_equal(folder, accumulate, workers):
    options = {"gradient_accumulation_steps": accumulate, "dataloader_num_workers": workers, "save_strategy": "steps"}
    whole = UCB(SAMPLES, 0.5, **VARYING)
    expected = make(whole, save_steps=1, **options)
    expected.train()
    last = expected.state.max_steps
    for step in (2, last - 2) if workers else (1, 5, 8, 9, 16, 20):
        if step >= last:
            break
        assert (folder / f"checkpoint-{step}" / STATE_FILE).exists()
        sampler = UCB(SAMPLES, 0.5, **VARYING)
        trainer = make(sampler, output_dir="again", save_steps=100, **options)
        trainer.train(resume_from_checkpoint=f"run/checkpoint-{step}")
        assert trainer.state.global_step == last
        assert sampler.report() == whole.report()
        assert torch.equal(sampler.memory["mean"], whole.memory["mean"]), step
        for parameter, other in zip(trainer.model.parameters(), expected.model.parameters(), strict=True):
            assert torch.equal(parameter, other), step


def test_resuming_from_the_last_checkpoint():
    make(save_strategy="epoch", num_train_epochs=2).train()
    trainer = make()
    trainer.train(resume_from_checkpoint=True)
    assert (trainer.state.global_step, trainer.pruning_sampler.epoch) == (16, 3)


# Options and methods -------------------------------------------------------------------------------------------------


def losses_of(outputs, batch):
    return F.cross_entropy(outputs["logits"], batch["labels"], reduction="none")


def fails(*_, **__):
    raise NotImplementedError


class OwnLoss(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **_):
        loss = model(**inputs)["loss"] * 1000
        return (loss, {}) if return_outputs else loss


def mixed(**methods):
    return type("Mixed", (PruningMixin, type("Own", (Trainer,), methods)), {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_sampling_strategy": "group_by_length"}, "train_sampling_strategy is 'group_by_length': the pruning"),
        ({"data_seed": 3}, "data_seed is 3: the pruning sampler has the seed of the order: set its `seed`"),
        ({"accelerator_config": {"split_batches": True}}, "accelerator_config.split_batches is True"),
        ({"accelerator_config": {"dispatch_batches": True}}, "accelerator_config.dispatch_batches is True"),
        ({"compute_loss_func": fails}, "compute_loss_func is <function fails.*one loss for the batch; pass losses_of"),
        ({"label_smoothing_factor": 0.1, "losses_of": losses_of}, "label_smoothing_factor is 0.1: losses_of is set"),
        ({"cls": mixed(compute_loss=fails)}, "Own has its own compute_loss: its loss would not be used in training"),
        ({"cls": mixed(get_train_dataloader=fails)}, "own get_train_dataloader: .*set train_dataset and data_coll"),
        ({"cls": mixed(_get_train_sampler=fails)}, "own _get_train_sampler: its sampler would not be used"),
        ({"sampler": DynamicEL2N(SAMPLES, 0.5)}, "DynamicEL2N is defined for the score el2n, and a trainer gives"),
        ({"sampler": UCB(SAMPLES + 1, 0.5)}, "train_dataset has 64 samples, but the sampler was made for 65"),
        ({"sampler": InfoBatch(SAMPLES, 0.0, fill=False)}, r"fill is False: .* so use InfoBatch\(.*fill=True"),
    ],
)
def test_what_would_be_dropped_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_what_cannot_be_pruned_is_refused(folder):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(DATA)

    class Losing(PruningTrainer):
        def _prepare_inputs(self, inputs):
            inputs.pop(INDEX_KEY)
            return inputs

    with pytest.raises(TypeError, match="train_dataset is a Stream without a length"):
        make(dataset=Stream(), max_steps=2)
    with pytest.raises(TypeError, match="train_dataset is a NoneType without a length: a sampler picks samples"):
        make(dataset=None)
    with pytest.raises(ValueError, match="with drop_last=True, an epoch of 6 samples has no batch of 8"):
        make(UCB(SAMPLES, 0.9), dataloader_drop_last=True).train()
    with pytest.raises(ValueError, match="make a trainer with a new sampler for each trial"):
        make().hyperparameter_search()
    with pytest.raises(TypeError, match="Mixed has PruningMixin after its Trainer: put PruningMixin first"):
        type("Mixed", (Trainer, PruningMixin), {})
    with pytest.raises(ValueError, match="a training batch has no dynprune_index: do not remove it"):
        make(cls=Losing).train()
    (folder / "checkpoint-2").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"run/checkpoint-2 has no pruning_sampler\.pt: a trainer without pruning"):
        make().train(resume_from_checkpoint="run/checkpoint-2")


def test_losses_of_replaces_a_loss_of_ones_own_in_training():
    trainer = make(cls=type("Mixed", (PruningMixin, OwnLoss), {}), losses_of=losses_of)
    assert trainer.train().training_loss < 10
    trainer.can_return_loss = True
    assert trainer.evaluate(DATA)["eval_loss"] > 100  # with its own compute_loss
    make(losses_of=losses_of, compute_loss_func=fails).train()  # for evaluation only


def test_options_of_the_loader_are_honoured():
    loader = make(
        UCB(SAMPLES, 0.5, seed=3),
        data_seed=3,
        dataloader_num_workers=2,
        dataloader_prefetch_factor=7,
        dataloader_persistent_workers=True,
        dataloader_drop_last=True,
        dataloader_pin_memory=False,
        dataloader_multiprocessing_context="spawn",
        dataloader_in_order=False,
    ).get_train_dataloader()
    assert (loader.num_workers, loader.prefetch_factor, loader.persistent_workers) == (2, 7, True)
    assert (loader.drop_last, loader.pin_memory, loader.in_order) == (True, False, False)
    assert loader.multiprocessing_context.get_start_method() == "spawn"
    assert loader.worker_init_fn.func is transformers.trainer_utils.seed_worker


def test_the_index_is_carried_around_any_collator():
    def pick(samples):
        assert all(sample.keys() == {"x", "labels"} for sample in samples)
        return transformers.default_data_collator(samples)

    sampler = UCB(SAMPLES, 0.5)
    make(sampler, data_collator=pick).train()
    assert torch.isfinite(sampler.memory["mean"]).all()
