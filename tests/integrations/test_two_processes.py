"""Two processes on the CPU under accelerate, Trainer and Lightning: one subset, its two halves, one gradient."""

import gc
import os

import pytest
import torch
import torch.nn.functional as F
from torch import multiprocessing
from torch.utils.data import DataLoader, TensorDataset

from dynprune_lib import UCB, Full, InfoBatch, indexed
from tests.helpers import free_port

pytestmark = pytest.mark.slow

SAMPLES, BATCH, EPOCHS = 400, 20, 3
X = torch.randn(SAMPLES, 8, generator=torch.Generator().manual_seed(0))
DATA = indexed(TensorDataset(X, (X[:, 0] > 0).long()))


def start(rank, work, port, folder, options):
    torch.set_num_threads(1)
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= world | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    torch.save(work(folder, **options), f"{folder}/{rank}.pt")
    gc.collect()  # models are in reference cycles and own threads, which abort a process that ends before them
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def run(work, folder, **options):
    """Return the results of `work(folder, **options)` in two processes."""
    multiprocessing.spawn(start, args=(work, free_port(), str(folder), options), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


PREPARED = [{}, {"use_seedable_sampler": True}, {"even_batches": False}]
REFUSED = ["split_batches", "dispatch_batches"]


def accelerate_loops(_):
    loops = [accelerate_loop(prepare=False), *(accelerate_loop(**options) for options in PREPARED)]
    errors = {}
    for option in REFUSED:
        try:
            accelerate_loop(**{option: True})
        except ValueError as error:
            errors[option] = str(error)
    return loops, errors


def accelerate_loop(prepare=True, **options):
    from accelerate import Accelerator, DataLoaderConfiguration

    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(**options))
    sampler = UCB(SAMPLES, 0.5, warm_up=1)
    model = torch.nn.Linear(8, 2)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.1))
    loader = DataLoader(DATA, batch_size=BATCH, sampler=sampler, drop_last=True)
    loader = accelerator.prepare(loader) if prepare else loader
    epochs = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        seen, length = [], len(loader)
        for index, (x, y) in loader:
            loss = sampler.update(index, F.cross_entropy(model(x), y, reduction="none"))
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            seen += index.tolist()
        assert length == len(seen) // BATCH
        epochs.append((seen, sampler.subset().tolist()))
    return epochs


def test_accelerate_trains_on_the_halves_of_one_subset_or_refuses(tmp_path):
    pytest.importorskip("accelerate")
    (loops, errors), (other_loops, other_errors) = run(accelerate_loops, tmp_path)
    for epochs in zip(loops, other_loops, strict=True):
        for epoch, ((first, subset), (second, other_subset)) in enumerate(zip(*epochs, strict=True)):
            assert subset == other_subset
            assert len(first) == len(second) == (100 if epoch else 200)
            assert sorted(first + second) == subset  # each sample once
    assert errors == other_errors
    for option in REFUSED:
        assert f"prepared with {option}=True and would shard the samples again: use {option}=False" in errors[option]


def fsdp_loop(_):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.distributed.init_process_group("gloo")
    torch.manual_seed(0)
    model = fully_shard(torch.nn.Linear(8, 2), mesh=init_device_mesh("cpu", (2,)))
    optimizer, sampler = torch.optim.SGD(model.parameters(), 0.1), UCB(SAMPLES, 0.5, anneal_from=2)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for index, (x, y) in DataLoader(DATA, batch_size=BATCH, sampler=sampler, drop_last=True):
            loss = sampler.update(index, F.cross_entropy(model(x), y, reduction="none"))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.weight.full_tensor().detach(), sampler.state_dict()["memory"]["mean"]


def test_fsdp_shards_the_model_and_the_sampler_the_samples(tmp_path):
    (weight, mean), (other_weight, other_mean) = run(fsdp_loop, tmp_path)
    assert torch.equal(weight, other_weight)
    assert torch.equal(mean, other_mean)
    assert torch.isfinite(mean).all()


KINDS = ["classes", "causal"]


def train_all(folder, **options):
    return [train(folder, kind=kind, **options) for kind in KINDS]


def train(folder, batch, accumulate, kind):
    from tests.integrations import test_trainer_losses  # here, because every process that is started imports this file

    sampler = Full(44, 0.0)
    trainer = test_trainer_losses.train(folder, kind, sampler, batch, accumulate, ddp_backend="gloo")
    return test_trainer_losses.moved(trainer, kind), trainer.state.global_step


def test_trainer_has_the_gradient_of_one_large_batch(tmp_path):
    pytest.importorskip("transformers")
    from tests.integrations import test_trainer_losses

    ranks = run(train_all, tmp_path, batch=5, accumulate=5)  # 5 + 5 + 5 + 5 + 2 in each process
    for kind, *results in zip(KINDS, *ranks, strict=True):
        whole = test_trainer_losses.train(tmp_path, kind, Full(44, 0.0), batch=44)
        for moved, steps in results:
            assert steps == 1
            assert torch.allclose(moved, test_trainer_losses.moved(whole, kind), atol=1e-6)


def fit(folder):
    from tests.integrations import test_lightning

    def run(**options):
        sampler = UCB(test_lightning.SAMPLES, 0.5, warm_up=1)
        quiet = {"devices": 2, "strategy": "ddp", "enable_checkpointing": False}
        _, module = test_lightning.fit(folder, sampler, 3, **quiet, **options)
        return module.seen, sampler.subset().tolist()

    result, errors = run(use_distributed_sampler=False), []
    for callback in (True, False):
        try:
            run(callback=callback)
        except ValueError as error:
            errors.append(str(error))
    return result, errors


def test_lightning_trains_on_the_halves_of_one_subset_or_refuses(tmp_path):
    pytest.importorskip("lightning")
    ((first, subset), errors), ((second, other_subset), other_errors) = run(fit, tmp_path)
    assert len(first) == len(second) == 32 + 16 + 16
    assert subset == other_subset == sorted(first[-16:] + second[-16:])
    assert errors == other_errors
    assert len(errors) == 2
    assert all("Trainer(use_distributed_sampler=False)" in error for error in errors)


class Epochs:
    """Sampler whose epochs have a length of their own, and remembers what they were."""

    def __init__(self, samples):
        self.sampler, self.subsets = InfoBatch(samples, 0.0, r=0.75, fill=False), []

    def note(self):
        self.subsets.append(self.sampler.subset().tolist())


def train_by_trainer(folder):
    from transformers import TrainerCallback

    from tests.integrations import test_huggingface

    epochs = Epochs(test_huggingface.SAMPLES)

    class Note(TrainerCallback):
        def on_epoch_end(self, *_, **__):
            epochs.note()

    trainer = test_huggingface.make_trainer(folder, epochs.sampler, ddp_backend="gloo", save_strategy="no")
    trainer.add_callback(Note())
    trainer.train()
    (rate,) = set(trainer.lr_scheduler.get_last_lr())
    return epochs.subsets, epochs.sampler.state_dict()["memory"]["last"], trainer.state.global_step, rate


def train_by_lightning(folder):
    from lightning.pytorch import Callback

    from tests.integrations import test_lightning

    epochs = Epochs(test_lightning.SAMPLES)

    class Note(Callback):
        def on_train_epoch_end(self, *_):
            epochs.note()

    options = {"devices": 2, "strategy": "ddp", "enable_checkpointing": False, "use_distributed_sampler": False}
    trainer, module = test_lightning.fit(
        folder, epochs.sampler, 4, callbacks=[Note()], make=test_lightning.Schedule, **options
    )
    (rate,) = module.lr_schedulers().get_last_lr()
    return epochs.subsets, epochs.sampler.state_dict()["memory"]["last"], trainer.global_step, rate


@pytest.mark.parametrize(("work", "needs"), [(train_by_trainer, "transformers"), (train_by_lightning, "lightning")])
def test_epochs_of_their_own_length_in_two_processes(tmp_path, work, needs):
    pytest.importorskip(needs)
    (subsets, last, steps, rate), (others, other_last, other_steps, other_rate) = run(work, tmp_path)
    lengths = [len(subset) for subset in subsets]
    assert subsets == others
    assert max(lengths[1:]) < lengths[0] == 64
    # each process has half of an epoch, in batches of 8, of which the last may be incomplete
    assert steps == other_steps == sum(-(-(length // 2) // 8) for length in lengths)
    assert rate == other_rate == pytest.approx(0.0)
    assert torch.equal(last, other_last)
