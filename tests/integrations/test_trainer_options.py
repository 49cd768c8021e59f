"""Options, methods and data of `Trainer`: PruningTrainer honours each or refuses it with a reason."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import IterableDataset

from dynprune_lib import UCB, DynamicEL2N

transformers = pytest.importorskip("transformers")
from transformers import PretrainedConfig, Trainer, TrainingArguments  # noqa: E402

from dynprune_lib.integrations.huggingface import INDEX_KEY, PruningMixin, PruningTrainer  # noqa: E402

pytestmark = pytest.mark.slow

SAMPLES, BATCH = 40, 10
X = torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(0))
DATA = [{"x": x, "labels": int(x[0] > 0), "note": None} for x in X]  # the model does not take the note


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.config, self.layer = PretrainedConfig(), torch.nn.Linear(4, 2)

    def forward(self, x, labels=None):
        logits = self.layer(x)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def make(cls=PruningTrainer, sampler=None, dataset=DATA, folder="unused", losses_of=None, **options):
    own = {name: options.pop(name) for name in ("compute_loss_func", "data_collator") if name in options}
    arguments = TrainingArguments(
        **{
            "output_dir": str(folder),
            "num_train_epochs": 2,
            "per_device_train_batch_size": BATCH,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
        }
        | options
    )
    sampler = sampler or UCB(SAMPLES, 0.5)
    return cls(Net(), arguments, train_dataset=dataset, pruning_sampler=sampler, losses_of=losses_of, **own)


def losses_of(outputs, batch):
    return F.cross_entropy(outputs["logits"], batch["labels"], reduction="none")


def fails(*_, **__):
    raise NotImplementedError


class OwnLoss(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **_):
        loss = model(**inputs)["loss"] * 1000
        return (loss, {}) if return_outputs else loss


class OwnLoader(Trainer):
    def get_train_dataloader(self):
        raise NotImplementedError


class OwnSampler(Trainer):
    def _get_train_sampler(self, *_):
        raise NotImplementedError


def mixed(base):
    return type("Mixed", (PruningMixin, base), {})


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_sampling_strategy": "group_by_length"}, "train_sampling_strategy is 'group_by_length': the pruning"),
        ({"train_sampling_strategy": "sequential"}, "train_sampling_strategy is 'sequential'"),
        ({"data_seed": 3}, "data_seed is 3: the pruning sampler has the seed of the order: set its `seed`"),
        ({"accelerator_config": {"split_batches": True}}, "accelerator_config.split_batches is True"),
        ({"accelerator_config": {"dispatch_batches": True}}, "accelerator_config.dispatch_batches is True"),
        ({"compute_loss_func": fails}, "compute_loss_func is <function fails.*one loss for the batch; pass losses_of"),
        ({"label_smoothing_factor": 0.1, "losses_of": losses_of}, "label_smoothing_factor is 0.1: losses_of is set"),
        ({"cls": mixed(OwnLoss)}, "OwnLoss has its own compute_loss: its loss would not be used in training; pass"),
        ({"cls": mixed(OwnLoader)}, "OwnLoader has its own get_train_dataloader: .*set train_dataset and data_coll"),
        ({"cls": mixed(OwnSampler)}, "OwnSampler has its own _get_train_sampler: its sampler would not be used"),
        (
            {"sampler": DynamicEL2N(SAMPLES, 0.5)},
            "DynamicEL2N is defined for the score el2n, and a trainer gives",
        ),
        ({"sampler": UCB(SAMPLES + 1, 0.5)}, "train_dataset has 40 samples, but the sampler was made for 41"),
    ],
)
def test_what_would_be_dropped_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_epochs_without_a_full_batch_are_refused():
    trainer = make(sampler=UCB(SAMPLES, 0.8), dataloader_drop_last=True)
    with pytest.raises(ValueError, match="with drop_last=True, an epoch of 8 samples has no batch of 10"):
        trainer.train()


def test_a_stream_is_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(DATA)

    with pytest.raises(TypeError, match="train_dataset is a Stream without a length"):
        make(dataset=Stream(), max_steps=2)
    with pytest.raises(TypeError, match="train_dataset is a NoneType without a length: a sampler picks samples"):
        make(dataset=None)


def test_a_search_that_would_share_one_sampler_is_refused():
    with pytest.raises(ValueError, match="make a trainer with a new sampler for each trial"):
        make().hyperparameter_search()


def test_the_order_of_the_base_classes_is_checked():
    with pytest.raises(TypeError, match="Mixed has PruningMixin after its Trainer: put PruningMixin first"):
        type("Mixed", (Trainer, PruningMixin), {})


def test_losses_of_replaces_a_loss_of_ones_own_in_training():
    trainer = make(mixed(OwnLoss), losses_of=losses_of)
    assert trainer.train().training_loss < 10
    trainer.can_return_loss = True
    assert trainer.evaluate(DATA)["eval_loss"] > 100  # with its own compute_loss
    make(losses_of=losses_of, compute_loss_func=fails).train()  # for evaluation only


def test_the_same_data_seed_is_accepted():
    assert make(sampler=UCB(SAMPLES, 0.5, seed=3), data_seed=3).train().global_step == 4


def test_options_of_the_loader_are_honoured():
    loader = make(
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


def pick(samples):
    return {
        "x": torch.stack([sample["x"] for sample in samples]),
        "labels": torch.tensor([s["labels"] for s in samples]),
    }


@pytest.mark.parametrize("collator", [None, pick])
def test_the_index_is_carried_around_any_collator(collator):
    sampler = UCB(SAMPLES, 0.5)
    make(sampler=sampler, data_collator=collator).train()
    assert torch.isfinite(sampler.memory["mean"]).all()


def test_a_lost_index_is_told():
    class Losing(PruningTrainer):
        def _prepare_inputs(self, inputs):
            inputs.pop(INDEX_KEY)
            return inputs

    with pytest.raises(ValueError, match="a training batch has no dynprune_index: do not remove it"):
        make(Losing).train()


def test_a_checkpoint_of_a_trainer_that_did_not_prune_is_refused(tmp_path):
    (tmp_path / "checkpoint-2").mkdir()
    with pytest.raises(
        ValueError, match=re.escape(f"{tmp_path}/checkpoint-2 has no pruning_sampler.pt: a trainer with")
    ):
        make().train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
