"""Lightning: handwritten digits and a small net."""

import time

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from dynprune_lib import UCB, indexed
from dynprune_lib.integrations.lightning import PruningCallback

EPOCHS, BATCH = 10, 16

images, labels = load_digits(return_X_y=True)
images, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
train_set = TensorDataset(images[:1400], labels[:1400])


class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))

    def training_step(self, batch, _):
        index, (x, y) = batch
        return sampler.update(index, F.cross_entropy(self.layers(x), y, reduction="none"))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


torch.manual_seed(0)
model = Net()
sampler = UCB(len(train_set), prune_rate=0.5)
loader = DataLoader(indexed(train_set), batch_size=BATCH, sampler=sampler, drop_last=True)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = Trainer(max_epochs=EPOCHS, callbacks=[PruningCallback(sampler)], **quiet)
started = time.perf_counter()
trainer.fit(model, loader)
seconds = time.perf_counter() - started

accuracy = (model.layers(images[1400:]).argmax(1) == labels[1400:]).float().mean().item()
print(f"{trainer.global_step} steps in {seconds:.1f} s, test accuracy {accuracy:.1%}")
