"""A small detector: one box per image; its loss is a dict of means, as that of torchvision's detectors."""

import time

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from dynprune_lib import UCB, indexed

EPOCHS, BATCH, SIZE = 12, 16, 16


def make_images(count, seed):
    """Return noisy images with one box each, filled or hollow, its corners in [0, 1] and its class."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.randint(1, SIZE // 2 - 1, (count, 2), generator=generator)
    high = low + torch.randint(4, SIZE // 2, (count, 2), generator=generator)
    boxes, classes = torch.cat([low, high], 1), torch.randint(0, 2, (count,), generator=generator)
    images = 0.3 * torch.randn(count, 1, SIZE, SIZE, generator=generator)
    for image, (left, top, right, bottom), hollow in zip(images, boxes, classes, strict=True):
        image[0, top:bottom, left:right] += 1
        image[0, top + 1 : bottom - 1, left + 1 : right - 1] -= hollow
    return images, boxes / SIZE, classes


class Detector(torch.nn.Module):
    def __init__(self):
        super().__init__()
        conv = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.body = torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten())
        self.box, self.label = (torch.nn.Linear(16 * (SIZE // 2) ** 2, outputs) for outputs in (4, 2))

    def forward(self, images, boxes, classes):
        features = self.body(images)
        return {
            "box": 20 * F.smooth_l1_loss(self.box(features), boxes),
            "label": F.cross_entropy(self.label(features), classes),
        }


torch.manual_seed(0)
train_set, (images, boxes, classes) = TensorDataset(*make_images(800, seed=0)), make_images(400, seed=1)
model = Detector()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

sampler = UCB(len(train_set), prune_rate=0.5, alpha=0.3)
loader = DataLoader(indexed(train_set), batch_size=BATCH, sampler=sampler, drop_last=True)
steps, started = 0, time.perf_counter()
for epoch in range(EPOCHS):
    sampler.set_epoch(epoch)
    for index, batch in loader:
        loss = sampler.update(index, sum(model(*batch).values()), per_sample=False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
seconds = time.perf_counter() - started

with torch.no_grad():
    features = model.body(images)
    found, accuracy = model.box(features), (model.label(features).argmax(1) == classes).float().mean().item()
sides = (torch.minimum(found[:, 2:], boxes[:, 2:]) - torch.maximum(found[:, :2], boxes[:, :2])).clamp(min=0)
areas = [(corners[:, 2:] - corners[:, :2]).clamp(min=0).prod(1) for corners in (found, boxes)]
overlap = (sides.prod(1) / (sum(areas) - sides.prod(1))).mean().item()
print(f"{steps} steps in {seconds:.1f} s, overlap of the boxes {overlap:.1%}, test accuracy {accuracy:.1%}")
