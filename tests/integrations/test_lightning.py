import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from dynprune_lib import UCB, indexed

lightning = pytest.importorskip("lightning.pytorch")
from dynprune_lib.integrations.lightning import PruningCallback  # noqa: E402

pytestmark = pytest.mark.slow

SAMPLES, BATCH = 64, 8


class Module(lightning.LightningModule):
    def __init__(self, sampler):
        super().__init__()
        self.sampler, self.seen = sampler, []
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = torch.nn.Linear(3, 2)

    def training_step(self, batch, _):
        index, (x, y) = batch
        self.seen += index.tolist()
        return self.sampler.update(index, F.cross_entropy(self.model(x), y, reduction="none"))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader_of(sampler):
    x = torch.randn(SAMPLES, 3, generator=torch.Generator().manual_seed(0))
    return DataLoader(indexed(TensorDataset(x, (x[:, 0] > 0).long())), batch_size=BATCH, sampler=sampler)


def fit(folder, sampler, epochs, checkpoint=None, loader=None, callback=True, callbacks=(), make=Module, **options):
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[*([PruningCallback(sampler)] if callback else []), *callbacks],
        **options,
    )
    module = make(sampler)
    trainer.fit(module, loader or loader_of(sampler), ckpt_path=checkpoint)
    return trainer, module


def test_pruned_epochs_are_shorter_and_scores_are_recorded(tmp_path):
    sampler = UCB(SAMPLES, 0.5)
    trainer, module = fit(tmp_path, sampler, 4)
    assert trainer.global_step == 4 * (SAMPLES // 2) // BATCH == sampler.total_steps(4, BATCH)
    assert torch.isfinite(sampler.mean).all()
    epochs = torch.tensor(module.seen).view(4, -1)
    assert set(epochs[0].tolist()) | set(epochs[1].tolist()) == set(range(SAMPLES))  # set_epoch was called


def test_resuming_from_a_checkpoint_restores_the_scores(tmp_path):
    whole, parts = UCB(SAMPLES, 0.5), UCB(SAMPLES, 0.5)
    _, expected = fit(tmp_path, whole, 4)
    trainer, _ = fit(tmp_path, UCB(SAMPLES, 0.5), 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _, module = fit(tmp_path, parts, 4, checkpoint=tmp_path / "half.ckpt")
    assert module.seen == expected.seen[len(expected.seen) // 2 :]
    assert torch.equal(parts.mean, whole.mean)
    assert torch.equal(module.model.weight, expected.model.weight)


def test_wrong_use_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"another sampler than this callback: .*Trainer\(use_distributed_sampler=False\)"
    ):
        fit(tmp_path, UCB(SAMPLES, 0.5), 1, loader=loader_of(UCB(SAMPLES, 0.5)))
