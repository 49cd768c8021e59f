"""Hugging Face Trainer: handwritten digits and a small net."""

import time
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from transformers import TrainingArguments

from dynprune_lib import UCB
from dynprune_lib.integrations.huggingface import PruningTrainer

EPOCHS, BATCH = 10, 16

images, labels = load_digits(return_X_y=True)
images, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
train_set = [{"pixels": x, "labels": y} for x, y in zip(images[:1400], labels[:1400], strict=True)]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))

    def forward(self, pixels, labels):
        logits = self.layers(pixels)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


torch.manual_seed(0)
model = Net()
with TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        dataloader_drop_last=True,
        learning_rate=1e-3,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    sampler = UCB(len(train_set), prune_rate=0.5)
    trainer = PruningTrainer(model=model, args=arguments, train_dataset=train_set, pruning_sampler=sampler)
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started

device = next(model.parameters()).device
accuracy = (model.layers(images[1400:].to(device)).argmax(1).cpu() == labels[1400:]).float().mean().item()
print(f"{trainer.state.global_step} steps in {seconds:.1f} s, test accuracy {accuracy:.1%}")
