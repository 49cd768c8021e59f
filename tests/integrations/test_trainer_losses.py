"""PruningTrainer with the kinds of models and labels that there are, and with gradient accumulation."""

import pytest
import torch
import transformers
from torch.utils.data import Dataset
from transformers import AutoConfig

from dynprune_lib import UCB
from dynprune_lib.integrations.huggingface import PruningTrainer
from dynprune_lib.integrations.trainer_losses import default_losses, shifts_labels

pytestmark = pytest.mark.slow

SAMPLES, LENGTH, WORDS = 44, 6, 20
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TINY |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
LABELS = {
    "classes": lambda words: words[0] % 3,
    "tokens": lambda words: torch.where(words < 6, -100, words % 3),
    "regression": lambda words: words[0] / WORDS,
    "multi-label": lambda words: (words[:3] > 10).float(),
} | dict.fromkeys(("causal", "masked", "seq2seq"), lambda words: torch.where(words < 6, -100, words))
TRAINED, OTHERS = ("classes", "causal"), sorted({*LABELS} - {"classes", "causal"})


class Words(Dataset):
    def __init__(self, kind):
        self.kind = kind

    def __len__(self):
        return SAMPLES

    def __getitem__(self, position):
        words = torch.randint(2, WORDS, (LENGTH,), generator=torch.Generator().manual_seed(position))
        return {"input_ids": words, "labels": LABELS[self.kind](words)}


def make_model(kind):
    transformers.set_seed(0)
    if kind == "causal":
        options = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": LENGTH, "bos_token_id": 0, "eos_token_id": 1}
        dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        return transformers.GPT2LMHeadModel(AutoConfig.for_model("gpt2", vocab_size=WORDS, **options, **dropout))
    if kind == "seq2seq":
        options = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
        config = AutoConfig.for_model("t5", vocab_size=WORDS, decoder_start_token_id=0, **options)
        return transformers.T5ForConditionalGeneration(config)
    head = {"tokens": "TokenClassification", "masked": "MaskedLM"}.get(kind, "SequenceClassification")
    num_labels = 1 if kind == "regression" else 3
    config = AutoConfig.for_model("bert", vocab_size=WORDS, num_labels=num_labels, **TINY)
    return getattr(transformers, f"BertFor{head}")(config)


def train(folder, kind, sampler, batch, accumulate=1, **options):
    options |= {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate, "num_train_epochs": 1}
    options |= {"optim": "sgd", "learning_rate": 0.1, "lr_scheduler_type": "constant", "max_grad_norm": 0}
    options |= {"save_strategy": "no", "logging_strategy": "epoch", "report_to": "none", "disable_tqdm": True}
    arguments = transformers.TrainingArguments(str(folder), use_cpu=True, **options)
    trainer = PruningTrainer(make_model(kind), arguments, train_dataset=Words(kind), pruning_sampler=sampler)
    trainer.train()
    return trainer


def moved(trainer, kind):
    parameters = zip(trainer.model.parameters(), make_model(kind).parameters(), strict=True)
    return torch.cat([(after - before).detach().flatten() for after, before in parameters])


@pytest.mark.parametrize("kind", [*TRAINED, *(pytest.param(kind, marks=pytest.mark.full) for kind in OTHERS)])
def test_the_gradient_is_that_of_one_large_batch_and_scores_are_recorded(tmp_path, kind):
    whole = train(tmp_path, kind, UCB(SAMPLES, 0.0), batch=16)  # of 16, 16 and 12 samples
    parts = train(tmp_path, kind, UCB(SAMPLES, 0.0), batch=5, accumulate=3)  # of 15, 15 and 14
    assert whole.state.global_step == parts.state.global_step == 3
    assert not torch.allclose(moved(whole, kind), moved(parts, kind), rtol=0.01)  # other batches

    whole = train(tmp_path, kind, UCB(SAMPLES, 0.0), batch=15)
    assert moved(whole, kind).norm() > 0
    assert torch.allclose(moved(parts, kind), moved(whole, kind), atol=1e-6)
    losses = [trainer.state.log_history[-1]["train_loss"] for trainer in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert parts.pruning_sampler.memory["mean"].isfinite().all()
    assert parts.evaluate(Words(kind))["eval_loss"] > 0


@pytest.mark.parametrize("kind", LABELS)
def test_the_losses_are_those_of_the_model(kind):
    model = make_model(kind).eval()
    for position in range(5):
        batch = {name: value[None] for name, value in Words(kind)[position].items()}
        outputs = model(**batch)
        found = default_losses(outputs, batch, model.config.problem_type, shifts_labels(model))
        assert found.tolist() == pytest.approx([outputs["loss"].item()], rel=1e-4)


@pytest.mark.parametrize("kind", ["classes", "causal", pytest.param("tokens", marks=pytest.mark.full)])
def test_label_smoothing_is_that_of_trainer(tmp_path, kind):
    trainer = train(tmp_path, kind, UCB(SAMPLES, 0.5), batch=11, label_smoothing_factor=0.3)
    model, batch = trainer.model.eval(), {name: value[None] for name, value in Words(kind)[0].items()}
    expected = trainer.label_smoother(model(**batch), batch["labels"], shift_labels=kind == "causal")
    assert trainer._losses(model(**batch), batch).tolist() == pytest.approx([expected.item()], rel=1e-4)
    assert not torch.allclose(moved(trainer, kind), moved(train(tmp_path, kind, UCB(SAMPLES, 0.5), 11), kind))


def test_what_is_none_of_these_is_refused():
    logits, labels = torch.rand(2, 3), torch.tensor([0, 1])
    for outputs, batch, smoothing, message in (
        ((labels, logits), {"labels": labels}, 0, "the model returned a tuple instead of a dict with logits: pass los"),
        ({"start": logits}, {"end": labels}, 0, "the model returned start for a batch with end; without logits and"),
        ({"logits": logits}, {"labels": labels.expand(4, 2).T}, 0, r"has logits of shape \(2, 3\) for labels of shape"),
        ({"logits": logits[:, :1]}, {"labels": labels.float()}, 0.1, "label_smoothing_factor is 0.1: a regression has"),
    ):
        with pytest.raises(ValueError, match=message):
            default_losses(outputs, batch, smoothing=smoothing)
