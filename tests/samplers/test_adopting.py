"""The samplers in training loops as users write them, and the messages for typical mistakes."""

import itertools
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import ConcatDataset, DataLoader, Dataset, DistributedSampler, Subset, TensorDataset

from dynprune_lib import UCB, DynamicRandom, indexed

BATCH = 8


class Dicts(Dataset):
    """Data set with samples in the form of dicts."""

    def __len__(self):
        return 40

    def __getitem__(self, position):
        return {"pixels": torch.full((3,), float(position)), "label": position % 2}


def test_a_dict_keeps_its_shape_and_gets_the_index():
    sampler = UCB(40, 0.5)
    for batch in DataLoader(indexed(Dicts(), key="index"), batch_size=BATCH, sampler=sampler):
        assert batch.keys() == {"pixels", "label", "index"}
        assert torch.equal(batch["pixels"][:, 0], batch["index"].float())
        sampler.update(batch["index"], batch["pixels"].mean(1))
    with pytest.raises(ValueError, match="the samples already have a key 'label': choose another key for the index"):
        indexed(Dicts(), key="label")[0]


def test_an_index_is_a_position_in_what_is_wrapped():
    parts = [Subset(TensorDataset(torch.arange(100)), range(start, start + 20)) for start in (10, 70)]
    dataset = ConcatDataset(parts)
    sampler = UCB(len(dataset), 0.25)
    for index, (value,) in DataLoader(indexed(dataset), batch_size=BATCH, sampler=sampler):
        assert torch.equal(value, torch.where(index < 20, index + 10, index + 50))


@pytest.mark.parametrize(
    "losses_of",
    [
        lambda output, _: F.cross_entropy(output, torch.zeros(len(output), dtype=torch.long), reduction="none"),
        lambda output, x: F.mse_loss(output, x, reduction="none").mean(1),  # regression
        lambda output, x: F.l1_loss(output[:, None], x[:, None], reduction="none").flatten(1).mean(1),  # images
    ],
)
def test_any_per_sample_loss(losses_of):
    model, sampler = torch.nn.Linear(3, 3), UCB(40, 0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for index, (x,) in DataLoader(indexed(TensorDataset(torch.rand(40, 3))), batch_size=BATCH, sampler=sampler):
            loss = sampler.update(index, losses_of(model(x), x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert torch.isfinite(sampler.memory["mean"]).all()


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("options", [{}, {"warm_up": 2}, {"anneal_from": 5}, {"warm_up": 1, "anneal_from": 4}])
def test_steps_are_known_before_the_run(make, is_full, options, drop_last):
    sampler, made = make(45, 0.3, **({} if is_full else options)), []
    loader = DataLoader(indexed(TensorDataset(torch.arange(45))), BATCH, sampler=sampler, drop_last=drop_last)
    expected = sampler.total_steps(6, BATCH, drop_last)
    for epoch in range(6):
        sampler.set_epoch(epoch)
        assert sampler.steps_left(6, BATCH, drop_last) == expected - sum(made)
        made.append(sum(1 for _ in loader))
        assert made[-1] == len(loader)
    assert expected == sum(made)


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("options", [{}, {"warm_up": 1, "anneal_from": 3}, {"rescale": True}])
def test_steps_left_at_any_moment(options, drop_last):
    def make():
        return DynamicRandom(45, 0.3, **options)

    def resumed():
        sampler_again = make()
        sampler_again.load_state_dict(sampler.state_dict())
        return sampler_again

    sampler = make()
    left = sampler.total_steps(4, BATCH, drop_last)
    loader = DataLoader(indexed(TensorDataset(torch.arange(45))), BATCH, sampler=sampler, drop_last=drop_last)
    for epoch in range(4):
        sampler.set_epoch(epoch)
        for index, _ in loader:
            assert sampler.steps_left(4, BATCH, drop_last) == resumed().steps_left(4, BATCH, drop_last) == left
            sampler.update(index, torch.rand(len(index)))
            sampler.observe(index, torch.rand(len(index)))  # does not train
            left -= 1
        assert sampler.steps_left(4, BATCH, drop_last) == resumed().steps_left(4, BATCH, drop_last) == left
    assert left == 0 == sampler.steps_left(2, BATCH, drop_last)


def test_partial_batches_count_as_one_step():
    sampler = UCB(45, 0.0)
    sampler.update(torch.arange(4), torch.rand(4))
    assert sampler.steps_left(1, BATCH) == 5
    sampler.update(torch.arange(4, 8), torch.rand(4))
    assert sampler.steps_left(1, BATCH) == 4


@pytest.mark.parametrize("steps_before", [15, 18])  # at the end and in the middle of an epoch of 5 steps
def test_a_schedule_created_after_resuming_ends_at_the_right_step(steps_before):
    def steps(sampler, start):
        for step in range(start, 30):
            if step % 5 == 0:
                sampler.set_epoch(step // 5)
            index = sampler.indices().split(BATCH)[step % 5]
            sampler.update(index, torch.rand(len(index)))
            yield

    first, again = UCB(80, 0.5), UCB(80, 0.5)
    list(itertools.islice(steps(first, 0), steps_before))
    again.load_state_dict(first.state_dict())
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    schedule = OneCycleLR(optimizer, 0.1, total_steps=again.steps_left(6, BATCH) + 1)
    for _ in steps(again, steps_before):
        optimizer.step()
        schedule.step()  # raises an error after total_steps
    assert schedule.get_last_lr()[0] == pytest.approx(0.1 / 25 / 1e4)


def test_a_missing_index_is_explained():
    sampler = UCB(40, 0.5)
    loader = DataLoader(TensorDataset(torch.rand(40), torch.rand(40)), batch_size=BATCH, sampler=sampler)
    x, _ = next(iter(loader))
    with pytest.raises(ValueError, match=r"index has type torch.float32: .* dynprune_lib.indexed\(dataset\) adds"):
        sampler.update(x, torch.rand(BATCH))
    with pytest.raises(ValueError, match=r"index has type torch.bool"):
        sampler.update(x > 0, torch.rand(BATCH))


def test_a_sampler_that_the_loader_does_not_use_causes_one_warning():
    sampler = UCB(40, 0.5)
    around = DistributedSampler(sampler, num_replicas=1, rank=0)  # its indices are positions in the subset
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch in range(3):
            sampler.set_epoch(epoch)
            for index, _ in DataLoader(indexed(TensorDataset(torch.arange(40))), BATCH, sampler=around):
                sampler.update(index, torch.rand(len(index)))
    assert len(caught) == 1
    assert "(a DistributedSampler around it selects others)" in str(caught[0].message)


def test_an_epoch_may_be_set_after_its_samples_were_requested():
    sampler = UCB(40, 0.5)
    sampler.set_epoch(1)
    order = list(sampler)  # as a loader with workers does that Lightning makes when it resumes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.set_epoch(1)
        sampler.update(torch.tensor(order), torch.rand(20))
        sampler.set_epoch(2)


def test_torch_refuses_shuffling_with_a_sampler():
    with pytest.raises(ValueError, match="mutually exclusive"):
        DataLoader(TensorDataset(torch.rand(40)), sampler=UCB(40, 0.5), shuffle=True)


def test_the_state_for_a_data_set_of_another_size_is_refused():
    with pytest.raises(ValueError, match="this state has num_samples = 40, the sampler 41"):
        UCB(41, 0.5).load_state_dict(UCB(40, 0.5).state_dict())


def test_positions_in_another_data_set_are_refused():
    with pytest.raises(IndexError, match=r"index 40 is not in \[0, 40\): is it a position in the data set"):
        UCB(40, 0.5).update(torch.tensor([0, 40]), torch.rand(2))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loop_is_bit_for_bit_equal(workers):
    dataset = indexed(TensorDataset(torch.arange(40)))

    def run(sampler, epochs):
        loader = DataLoader(dataset, BATCH, sampler=sampler, drop_last=True, num_workers=workers)
        seen = []
        for epoch in epochs:
            sampler.set_epoch(epoch)
            for index, (value,) in loader:
                sampler.update(index, torch.sin(value * (epoch + 1.0)))
                seen += index.tolist()
        return seen

    whole, first, second = UCB(40, 0.4), UCB(40, 0.4), UCB(40, 0.4)
    expected = run(whole, range(6))
    begun = run(first, range(3))
    second.load_state_dict(first.state_dict())
    assert begun + run(second, range(3, 6)) == expected


def test_every_sample_is_selected_eventually():
    sampler = DynamicRandom(40, 0.5)
    seen = set(itertools.chain.from_iterable((sampler.set_epoch(epoch), list(sampler))[1] for epoch in range(12)))
    assert seen == set(range(40))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 1, 0, 4, 2], [2, 4, 3, 0, 1]])
def test_a_repeated_sample_gets_its_highest_score(make, order):
    index, scores = torch.tensor([1, 1, 1, 2, 3]), torch.tensor([2.0, 5.0, torch.nan, 4.0, torch.inf])
    sampler, expected = make(40, 0.5), make(40, 0.5)
    sampler.observe(index[order], scores[order])
    expected.observe(torch.tensor([1, 2]), torch.tensor([5.0, 4.0]))
    for name, values in expected.memory.items():
        assert torch.equal(sampler.memory[name], values), name


READS = [torch.Tensor.item, torch.Tensor.cpu, torch.Tensor.tolist, torch.Tensor.nonzero, torch.Tensor.numpy, bool]


@pytest.mark.parametrize("read", READS)
def test_a_meta_tensor_refuses_what_would_synchronise_a_device(read):
    with pytest.raises((RuntimeError, TypeError)):
        read(torch.ones(1, device="meta"))


@pytest.mark.parametrize("rescale", [False, True])
def test_an_epoch_does_not_synchronise_the_device(make, rescale):
    """Run the calls of an epoch on tensors without data: what needs a number of them on the host raises an error."""
    try:
        sampler = make(40, 0.5, rescale=rescale)
    except ValueError:
        pytest.skip("it does not define keep probabilities")
    index, losses = torch.arange(8, device="meta"), torch.rand(8, device="meta", requires_grad=True)
    for at in (index, index.int(), torch.arange(8)):
        results = [
            sampler.update(at, losses),
            sampler.update(at, losses, losses.detach()),
            sampler.mean_loss(at, losses),
        ]
        sampler.observe(at, losses.detach().half())
        if not rescale:
            results.append(sampler.update(at, losses.mean(), per_sample=False))
        assert all(loss.device.type == "meta" for loss in results)
        results[0].backward()
        sampler.steps_left(3, batch_size=8)


@pytest.mark.parametrize("compiled", [False, True])
def test_mixed_precision_averaged_weights_and_compiled_losses(compiled):
    model = torch.nn.Linear(3, 2)
    optimizer, scaler = torch.optim.SGD(model.parameters(), lr=0.1), torch.amp.GradScaler("cpu")
    average, start = torch.optim.swa_utils.AveragedModel(model), model.weight.detach().clone()
    x, sampler = torch.rand(40, 3), UCB(40, 0.5)

    def compute(x, y):
        return F.cross_entropy(model(x), y, reduction="none")

    losses_of = torch.compile(compute, backend="eager") if compiled else compute
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for index, (x_batch, y) in DataLoader(
            indexed(TensorDataset(x, (x[:, 0] > 0.5).long())), BATCH, sampler=sampler
        ):
            with torch.autocast("cpu", torch.bfloat16):
                loss = sampler.update(index, losses_of(x_batch, y))
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            average.update_parameters(model)
    assert torch.isfinite(sampler.memory["mean"]).all()
    assert not torch.equal(average.module.weight, start)
