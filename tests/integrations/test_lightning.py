import multiprocessing

import lightning.pytorch as lightning
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from dynprune_lib import UCB, InfoBatch, indexed
from dynprune_lib.integrations.lightning import PruningCallback
from tests.samplers.conftest import assert_same

pytestmark = [
    pytest.mark.slow,
    # a class that pytest-xdist would import in its main process, where the import of torchvision may fail
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
]

FULL = pytest.mark.full
SAMPLES, BATCH = 64, 8
VARYING = {"warm_up": 1, "anneal_from": 3}  # epochs of 8, 4, 4 and 8 batches


class Module(lightning.LightningModule):
    """Module whose learning rate falls to 0 over a number of steps, if it has one."""

    total = None

    def __init__(self, sampler):
        super().__init__()
        self.sampler, self.seen, self.epochs, self.validations = sampler, [], [], 0
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = torch.nn.Linear(3, 2)

    def training_step(self, batch, _):
        index, (x, y) = batch["pruned"] if isinstance(batch, dict) else batch
        self.seen += index.tolist()
        self.epochs.append(self.current_epoch)
        return self.sampler.update(index, F.cross_entropy(self.model(x), y, reduction="none"))

    def validation_step(self, *_):
        self.validations += 1

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        if self.total is None:
            return optimizer
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, self.total)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def loader_of(sampler, **options):
    x = torch.randn(SAMPLES, 3, generator=torch.Generator().manual_seed(0))
    return DataLoader(indexed(TensorDataset(x, (x[:, 0] > 0).long())), batch_size=BATCH, sampler=sampler, **options)


def fit(folder, sampler, epochs=4, checkpoint=None, loaders=None, callbacks=(), make=Module, pruning=True, **options):
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[PruningCallback(sampler)] * pruning + list(callbacks),
        **{"enable_progress_bar": False, "logger": False} | options,
    )
    module = make(sampler)
    trainer.fit(module, *(loaders or [loader_of(sampler)]), ckpt_path=checkpoint)
    return trainer, module


def test_pruned_epochs_are_shorter_scores_are_recorded_and_what_was_saved_is_printed_and_logged(tmp_path, capsys):
    sampler, logger = UCB(SAMPLES, 0.5), lightning.loggers.CSVLogger(tmp_path)
    trainer, module = fit(tmp_path, sampler, logger=logger)
    assert trainer.global_step == 4 * (SAMPLES // 2) // BATCH == sampler.total_steps(4, BATCH)
    assert torch.isfinite(sampler.memory["mean"]).all()
    epochs = torch.tensor(module.seen).view(4, -1)
    assert set(epochs[0].tolist()) | set(epochs[1].tolist()) == set(range(SAMPLES))  # set_epoch was called
    assert f"Pruning: {sampler.report()}" in capsys.readouterr().out
    names, *_, last = next(tmp_path.rglob("metrics.csv")).read_text().splitlines()
    logged = dict(zip(names.split(","), last.split(","), strict=True))
    assert (logged["pruning_passes_made"], logged["pruning_passes_left_out"]) == ("128", "128")


class Manual(Module):
    automatic_optimization = False

    def training_step(self, *batch):
        self.optimizers().zero_grad()
        self.manual_backward(super().training_step(*batch))
        self.optimizers().step()
        self.lr_schedulers().step()


@pytest.mark.parametrize(
    ("options", "batches", "steps"),
    [
        ({}, [8, 4, 4, 8], 24),
        ({"base": Manual}, [8, 4, 4, 8], 24),
        ({"limit_train_batches": 0.5}, [4, 2, 2, 4], 12),
        ({"max_steps": 14}, [8, 4, 2, 0], 14),
        pytest.param({"accumulate_grad_batches": 3}, [8, 4, 4, 8], 3 + 2 + 2 + 3, marks=FULL),
        pytest.param({"limit_train_batches": 5}, [5, 4, 4, 5], 18, marks=FULL),
        pytest.param({"reload_dataloaders_every_n_epochs": 1}, [8, 4, 4, 8], 24, marks=FULL),
    ],
)
def test_epochs_may_differ_in_length(tmp_path, options, batches, steps):
    sampler, options = UCB(SAMPLES, 0.5, **VARYING), options | {"num_sanity_val_steps": 0}
    make = type("OfThisLength", (options.pop("base", Module),), {"total": steps})
    loaders = loader_of(sampler), DataLoader(TensorDataset(torch.zeros(1)))
    trainer, module = fit(tmp_path, sampler, loaders=loaders, make=make, **options)
    assert [module.epochs.count(epoch) for epoch in range(4)] == batches
    assert trainer.global_step == steps
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0)  # the schedule ends with the run
    assert module.validations == (2 if "max_steps" in options else 4)


class SaveEachBatch(lightning.Callback):
    def on_train_batch_end(self, trainer, *_):
        trainer.save_checkpoint(f"{trainer.default_root_dir}/{trainer.global_step}.ckpt")


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=FULL)])
@pytest.mark.parametrize(
    ("options", "max_steps"), [(VARYING, -1), pytest.param({}, -1, marks=FULL), pytest.param(VARYING, 18, marks=FULL)]
)
def test_resuming_at_any_step_trains_on_the_rest(tmp_path, options, max_steps, workers):
    def run(sampler, folder, **more):
        epochs, loaders = 4 if max_steps == -1 else -1, [loader_of(sampler, num_workers=workers)]
        return fit(folder, sampler, epochs, loaders=loaders, max_steps=max_steps, **more)

    whole = UCB(SAMPLES, 0.5, **options)
    trainer, expected = run(whole, tmp_path, callbacks=[SaveEachBatch()])
    last = trainer.global_step
    for step in (2, 8, last - 8) if workers else range(1, last, 1 if options else 3):
        sampler = UCB(SAMPLES, 0.5, **options)
        trainer, module = run(sampler, tmp_path / "again", checkpoint=tmp_path / f"{step}.ckpt")
        assert trainer.global_step == last
        assert module.seen == expected.seen[step * BATCH :], step
        assert torch.equal(sampler.memory["mean"], whole.memory["mean"])
        assert torch.equal(module.model.weight, expected.model.weight)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=FULL)])
def test_resuming_at_the_end_of_an_epoch_selects_anew(tmp_path, workers):
    def run(epochs, **more):
        sampler, saving = UCB(SAMPLES, 0.5), lightning.callbacks.ModelCheckpoint(tmp_path, save_last=True)
        loaders = [loader_of(sampler, num_workers=workers)]
        return fit(tmp_path, sampler, epochs, loaders=loaders, callbacks=[saving], **more)[1].seen

    expected = run(4)
    (tmp_path / "last.ckpt").unlink()
    assert run(2) + run(4, checkpoint=tmp_path / "last.ckpt") == expected


def test_the_loader_may_be_one_of_several_or_that_of_a_data_module(tmp_path):
    class Data(lightning.LightningDataModule):
        def train_dataloader(self):
            return {"pruned": loader_of(sampler), "other": DataLoader(TensorDataset(torch.zeros(3)))}

    sampler = UCB(SAMPLES, 0.5, **VARYING)
    _, module = fit(tmp_path, sampler, loaders=[Data()])
    assert len(module.seen) == BATCH * (8 + 4 + 4 + 8)


def test_wrong_use_is_refused(tmp_path):
    message = r"another sampler than this callback: pass it sampler=.*use limit_train_batches"
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, UCB(SAMPLES, 0.5), loaders=[loader_of(UCB(SAMPLES, 0.5))])
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, UCB(SAMPLES, 0.5), overfit_batches=2)
    sampler = UCB(SAMPLES, 0.9, warm_up=1)  # without the warm-up, Lightning itself warns
    with pytest.raises(ValueError, match="with drop_last=True, an epoch of 6 samples has no batch of 8"):
        fit(tmp_path, sampler, loaders=[loader_of(sampler, drop_last=True)])
    with pytest.raises(ValueError, match=r"fill is False: .* must know its steps, so use InfoBatch\(.*fill=True"):
        PruningCallback(InfoBatch(SAMPLES, 0.0, fill=False))
    trainer, _ = fit(tmp_path, UCB(SAMPLES, 0.5), 1, pruning=False)
    trainer.save_checkpoint(tmp_path / "plain.ckpt")
    with pytest.raises(ValueError, match="this checkpoint has no state of a sampler: a run without PruningCallback"):
        fit(tmp_path, UCB(SAMPLES, 0.5), checkpoint=tmp_path / "plain.ckpt")


def test_a_test_takes_any_checkpoint(tmp_path):
    class Tested(Module):
        def test_step(self, *_):
            pass

    fit(tmp_path, UCB(SAMPLES, 0.5), 1, pruning=False)[0].save_checkpoint(tmp_path / "plain.ckpt")
    fit(tmp_path, UCB(SAMPLES, 0.4), 1)[0].save_checkpoint(tmp_path / "pruned.ckpt")
    sampler = UCB(SAMPLES, 0.5)
    trainer, module = fit(tmp_path, sampler, 1, make=Tested)
    before = sampler.state_dict()
    for name in ("plain", "pruned"):
        trainer.test(module, loader_of(None), ckpt_path=tmp_path / f"{name}.ckpt")
    assert_same(sampler.state_dict(), before)


def test_what_a_process_learned_that_ends_with_the_run_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "the program")  # as in ddp_spawn and ddp_notebook
    with pytest.warns(UserWarning, match="the sampler has learned in a process that ends with this run"):
        fit(tmp_path, UCB(SAMPLES, 0.5), 1)


def test_a_schedule_over_epochs_that_are_all_equally_long_is_refused(tmp_path):
    class Estimating(Module):
        def configure_optimizers(self):
            self.total = self.trainer.estimated_stepping_batches
            return super().configure_optimizers()

    message = r"LinearLR has total_iters=32, but this run makes 24 steps: .* so use sampler\.total_steps\("
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, UCB(SAMPLES, 0.5, **VARYING), make=Estimating)
    fit(tmp_path, UCB(SAMPLES, 0.5), make=Estimating)  # where it is right


def test_a_second_run_with_the_same_sampler_begins_at_its_first_epoch(tmp_path):
    sampler = UCB(SAMPLES, 0.5, anneal_from=1)
    fit(tmp_path, sampler, 2)
    _, module = fit(tmp_path, sampler, 1)
    assert sorted(module.seen) == sampler.subset().tolist()
    assert len(module.seen) == SAMPLES // 2
