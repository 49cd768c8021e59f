"""The code blocks of docs/adopting.md run as they are."""

import re
import runpy

import lightning.pytorch as lightning
import pytest
import torch
import torch.nn.functional as F
import transformers
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, default_collate

from dynprune_lib import UCB, pruning_loader
from tests.helpers import ROOT

pytestmark = pytest.mark.slow

GUIDE = (ROOT / "docs" / "adopting.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
X = torch.randn(128, 4, generator=torch.Generator().manual_seed(0))
EPOCHS = 3


def run_block(section, **own):
    """Run the code of a section with what it takes from the reader's program, and return its names."""
    (block,) = re.findall(r"```python\n(.*?)```", SECTIONS[section], re.DOTALL)
    model = torch.nn.Linear(4, 2)
    names = {"torch": torch, "F": F, "DataLoader": DataLoader, "UCB": UCB, "pruning_loader": pruning_loader}
    names |= {"model": model, "optimizer": torch.optim.SGD(model.parameters(), 0.1), "epochs": EPOCHS}
    names |= {"train_set": TensorDataset(X, (X[:, 0] > 0).long()), "collate": default_collate} | own
    exec(block, names)
    memory = names["sampler"].memory
    assert torch.isfinite(memory["mean"] if "mean" in memory else memory["last"]).all()
    assert names["sampler"].epoch == names["epochs"] - 1
    return names


def test_plain_pytorch(capsys):
    run_block("Plain PyTorch")
    assert capsys.readouterr().out.startswith("192 sample passes made, 192 left out (50.0%)")


class Detector(torch.nn.Linear):
    def forward(self, images, boxes, classes):
        outputs = super().forward(images)
        return {"box": F.smooth_l1_loss(outputs[:, 2:], boxes), "label": F.cross_entropy(outputs[:, :2], classes)}


def test_losses_without_per_sample_values():
    detector = Detector(4, 4)
    own = {"detector": detector, "optimizer": torch.optim.SGD(detector.parameters(), 0.1)}
    own["train_set"] = TensorDataset(X, X[:, :2], (X[:, 0] > 0).long())
    sampler = run_block("Losses without per-sample values", **own)["sampler"]
    assert len(sampler.memory["mean"].unique()) > 2 * 128 / 16  # averages of two epochs tell samples apart


def test_a_detector_needs_half_of_the_steps():
    full, pruned = (runpy.run_path(ROOT / f"notebooks/loops/{name}.py") for name in ("detector", "detector_pruned"))
    assert (full["steps"], pruned["steps"]) == (600, 300)
    assert min(full["overlap"], pruned["overlap"]) > 0.5  # of the found and the true boxes
    assert min(full["accuracy"], pruned["accuracy"]) > 0.9
    assert pruned["sampler"].report().share_left_out == 0.5


def test_from_the_code_of_seta():
    sampler = run_block("From the code of InfoBatch and SeTa", epochs=8)["sampler"]
    assert len(sampler) == round(0.9 * 128)  # a random subset in the last eighth
    assert sampler.report().share_left_out > 0.1  # of all samples, and of the windows


def test_the_loss_of_a_mixed_sample_says_little_about_it():
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images[:1400] / 16, dtype=torch.float32), torch.tensor(labels[:1400])
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))
    optimizer, beta = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9), torch.distributions.Beta(0.2, 0.2)
    mixed, unmixed = torch.zeros(2, len(x))
    for _ in range(8):
        for index in torch.randperm(len(x)).split(16):
            with torch.no_grad():
                unmixed[index] = F.cross_entropy(net(x[index]), y[index], reduction="none")
            ratio = beta.sample()
            outputs = net(torch.lerp(x[index.flip(0)], x[index], ratio))
            targets = F.one_hot(torch.stack([y[index], y[index.flip(0)]]), 10).float()
            losses = F.cross_entropy(outputs, torch.lerp(targets[1], targets[0], ratio), reduction="none")
            mixed[index] = losses.detach()
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
    after = F.cross_entropy(net(x), y, reduction="none").detach()
    assert spearmanr(mixed, after).statistic < 0.3
    assert spearmanr(unmixed, after).statistic > 0.6


@pytest.mark.parametrize("section", ["accelerate", "Fabric"])
def test_loops_with_a_library(section):
    run_block(section)


def test_programs_without_epochs():
    run_block("Programs without epochs", steps=4 * EPOCHS - 1)  # epochs of four batches


def test_hugging_face_trainer(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=20, **sizes)
    options = {"num_train_epochs": EPOCHS, "report_to": "none", "use_cpu": True, "disable_tqdm": True}
    names = run_block(
        "Hugging Face Trainer",
        model=transformers.BertForSequenceClassification(config),
        train_set=[{"input_ids": row.abs().long() + 2, "labels": int(row[0] > 0)} for row in X],
        arguments=transformers.TrainingArguments(str(tmp_path), **options),
    )
    assert names["trainer"].state.global_step == 3 * 8  # Trainer's batches have 8 samples


def test_lightning():
    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(4, 2)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    options = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    quiet = dict.fromkeys(options, False)
    run_block("Lightning", Net=Net, Trainer=lightning.Trainer, options=quiet)


def test_all_blocks_and_links_are_tested():
    assert GUIDE.count("```python") == 8
    for target in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
