"""Two processes on the CPU, whoever distributes the samples: in each framework they do what one process would.

In epochs with warm-up and annealing, every selected sample is trained on once, the next subset is that of one process
with the same scores, and a run that is resumed in the middle of an epoch goes on with the rest.
"""

import pytest
import torch
from torch.utils.data import TensorDataset

from dynprune_lib import UCB, Full, pruning_loader
from tests.helpers import in_two_processes
from tests.samplers.conftest import losses_of

pytestmark = pytest.mark.slow
FULL = pytest.mark.full  # the first case of a framework is in `make test`, the others are in CI

SAMPLES, BATCH, EPOCHS, WORLD = 64, 8, 4, 2
SETTINGS = {"warm_up": 1, "anneal_from": 3}
STOP = 2, 1  # the epoch, and the batches of it, after which a run is resumed
X = torch.randn(SAMPLES, 3, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(X, torch.arange(SAMPLES))


def in_one_process():
    sampler, subsets = UCB(SAMPLES, 0.5, **SETTINGS), []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        subsets.append(sampler.subset().tolist())
        sampler.update(sampler.subset(), losses_of(sampler.subset(), epoch))
    return subsets, sampler.memory["mean"]


def check(results):
    """Check the epochs of all processes: what each trained on, the whole subset, and the rest of a resumed run."""
    expected, mean = in_one_process()
    for epochs, memory, rest in results:
        assert [subset for _, subset in epochs] == expected
        assert torch.equal(memory, mean)
        if rest is not None:  # of a run that was resumed after some batches of an epoch
            first, *others = [seen for seen, _ in epochs[STOP[0] :]]
            assert rest == [first[BATCH * STOP[1] :], *others]
    for epoch in range(EPOCHS):
        trained = sorted(sample for epochs, _, _ in results for sample in epochs[epoch][0])
        assert trained == expected[epoch]


# Loops of one's own --------------------------------------------------------------------------------------------------


def loop(sampler, loader, model, optimizer, backward, stop=None):
    """Train on, and return the samples of each epoch; stop in the middle of an epoch."""
    epochs = []
    for epoch in range(sampler.epoch, EPOCHS):
        sampler.set_epoch(epoch)
        epochs.append(([], sampler.subset().tolist()))
        for index, (x, _) in loader:
            if stop == (epoch, len(epochs[-1][0]) // BATCH):
                return epochs
            loss = sampler.update(index, losses_of(index, epoch) + 0 * model(x).sum())
            optimizer.zero_grad()
            backward(loss)
            optimizer.step()
            epochs[-1][0].extend(index.tolist())
    return epochs


def both(make, resumes=True):
    """Run a loop from begin to end, and once more with an interruption."""
    sampler, *parts = make()
    epochs = loop(sampler, *parts)
    mean = sampler.state_dict()["memory"]["mean"]
    if not resumes:
        return epochs, mean, None
    stopped, *parts = make()
    loop(stopped, *parts, stop=STOP)
    resumed, *parts = make()
    resumed.load_state_dict(stopped.state_dict(), skip_trained=True)
    rest = loop(resumed, *parts)
    assert torch.equal(resumed.state_dict()["memory"]["mean"], mean)
    return epochs, mean, [seen for seen, _ in rest]


def plain(_, wrap):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.distributed.init_process_group("gloo")

    def make():
        model = torch.nn.Linear(3, 2)
        if wrap == "FSDP":
            model = fully_shard(model, mesh=init_device_mesh("cpu", (WORLD,)))
        else:
            model = torch.nn.parallel.DistributedDataParallel(model)
        sampler = UCB(SAMPLES, 0.5, **SETTINGS)
        loader = pruning_loader(DATA, sampler, batch_size=BATCH)
        return sampler, loader, model, torch.optim.SGD(model.parameters(), 0.1), torch.Tensor.backward

    return both(make)


@pytest.mark.parametrize("wrap", ["DDP", pytest.param("FSDP", marks=FULL)])
def test_a_plain_loop(tmp_path, wrap):
    check(in_two_processes(plain, tmp_path, wrap=wrap))


def accelerated(_, rate=0.5, with_view=True, batch=BATCH, **options):
    from accelerate import Accelerator, DataLoaderConfiguration

    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(**options))

    def make():
        model = torch.nn.Linear(3, 2)
        sampler = UCB(SAMPLES, rate, **SETTINGS, shard=False)
        loader = pruning_loader(DATA, sampler.view() if with_view else sampler, batch_size=batch)
        parts = accelerator.prepare(loader, model, torch.optim.SGD(model.parameters(), 0.1))
        return sampler, *parts, accelerator.backward

    return both(make, resumes=rate == 0.5 and with_view)  # without it, accelerate counts the epochs itself


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"split_batches": True, "batch": WORLD * BATCH}, marks=FULL),
        pytest.param({"dispatch_batches": True}, marks=FULL),
        pytest.param({"with_view": False}, marks=FULL),
        pytest.param({"use_seedable_sampler": True, "even_batches": False}, marks=FULL),
    ],
)
def test_accelerate(tmp_path, options):
    check(in_two_processes(accelerated, tmp_path, **options))


@FULL
def test_batches_that_accelerate_fills_up(tmp_path):
    (first, mean, _), (second, other_mean, _) = in_two_processes(accelerated, tmp_path, rate=0.4)
    assert torch.equal(mean, other_mean)
    for epoch, ((seen, subset), (other, other_subset)) in enumerate(zip(first, second, strict=True)):
        assert subset == other_subset == sorted({*seen, *other})
        # 38 samples are five batches, the last of 6: filled up to six batches
        assert len(seen) == len(other) == (24 if epoch in (1, 2) else 32)


def fabric_loop(_, with_view):
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=WORLD, strategy="ddp")
    fabric.launch()

    def make():
        model = torch.nn.Linear(3, 2)
        sampler = UCB(SAMPLES, 0.5, **SETTINGS)
        loader = pruning_loader(DATA, sampler.view() if with_view else sampler, batch_size=BATCH)
        model, optimizer = fabric.setup(model, torch.optim.SGD(model.parameters(), 0.1))
        return sampler, fabric.setup_dataloaders(loader), model, optimizer, fabric.backward

    return both(make, resumes=with_view)  # Fabric counts the epochs itself, which a whole run does not notice


@pytest.mark.parametrize("with_view", [True, pytest.param(False, marks=FULL)])
def test_fabric(tmp_path, with_view):
    check(in_two_processes(fabric_loop, tmp_path, with_view=with_view))


# Trainers ----------------------------------------------------------------------------------------------------------


def with_rest(whole, resumed):
    (epochs, mean), (rest, other_mean) = whole, resumed
    assert torch.equal(mean, other_mean)
    return epochs, mean, [seen for seen, _ in rest]


def lit(folder, **options):
    from tests.integrations.test_lightning import Module, SaveEachBatch, fit  # which not every process needs

    def train(checkpoint=None):
        sampler, epochs = UCB(SAMPLES, 0.5, **SETTINGS), {}

        class Recording(Module):
            def training_step(self, batch, _):
                (index, (x, _)), epoch = batch, self.current_epoch
                epochs.setdefault(epoch, ([], sampler.subset().tolist()))[0].extend(index.tolist())
                return sampler.update(index, losses_of(index, epoch) + 0 * self.model(x).sum())

        own = {"devices": WORLD, "strategy": "ddp", "enable_checkpointing": False, "make": Recording}
        fit(folder, sampler, EPOCHS, checkpoint, callbacks=[SaveEachBatch()], **own, **options)
        return list(epochs.values()), sampler.state_dict()["memory"]["mean"]

    return with_rest(train(), train(f"{folder}/{4 + 2 + STOP[1]}.ckpt"))


@pytest.mark.parametrize("options", [{}, pytest.param({"use_distributed_sampler": False}, marks=FULL)])
def test_lightning(tmp_path, options):
    check(in_two_processes(lit, tmp_path, **options))


def train_by_trainer(folder):
    from tests.integrations.test_huggingface import X, make

    def train(checkpoint=None):
        sampler, epochs = UCB(SAMPLES, 0.5, **SETTINGS, shard=False), {}

        def losses(outputs, batch):
            index = (batch["x"][:, None] == X).all(-1).nonzero()[:, 1]
            epochs.setdefault(sampler.epoch, ([], sampler.subset().tolist()))[0].extend(index.tolist())
            return losses_of(index, sampler.epoch) + 0 * outputs["logits"].sum()

        saving = {"output_dir": folder, "save_strategy": "steps", "save_steps": 4 + 2 + STOP[1]}
        make(sampler, losses_of=losses, ddp_backend="gloo", **saving).train(checkpoint)
        return list(epochs.values()), sampler.state_dict()["memory"]["mean"]

    return with_rest(train(), train(f"{folder}/checkpoint-7"))


def test_trainer(tmp_path):
    check(in_two_processes(train_by_trainer, tmp_path))


KINDS = ["classes", "causal"]


def train_kinds(folder, batch, accumulate=1, **options):
    """Return how far the weights of each kind of model move."""
    from tests.integrations.test_trainer_losses import moved, train  # which not every process needs

    trainers = [train(folder, kind, Full(44, 0.0), batch, accumulate, **options) for kind in KINDS]
    assert [trainer.state.global_step for trainer in trainers] == [1, 1]
    return list(map(moved, trainers, KINDS))


@FULL
def test_trainer_has_the_gradient_of_one_large_batch(tmp_path):
    ranks = in_two_processes(
        train_kinds, tmp_path, batch=5, accumulate=5, ddp_backend="gloo"
    )  # 5 + 5 + 5 + 5 + 2 in each process
    whole = train_kinds(tmp_path, batch=44)
    for rank in ranks:
        assert all(torch.allclose(moved, each, atol=1e-6) for moved, each in zip(rank, whole, strict=True))
