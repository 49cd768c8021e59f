"""The contract of the samplers, checked on a class of your own: what `check_estimator` is to scikit-learn.

It needs PyTorch and NumPy only, and starts no processes: the class may be one of a notebook or of a function.
"""

import copy
import inspect
import io
import pickle
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from dynprune_lib.samplers.merge import merge
from dynprune_lib.samplers.sampler import PruningSampler
from dynprune_lib.samplers.states import check_memory

SIZES = (1, 2, 3, 5, 41)  # in this order: what is reported is the smallest input that shows a fault
EPOCHS, BATCH, WORLD = 6, 7, 2
MANY = 10  # samples of an epoch: two random orders of so many are never the same
EXTREME = torch.tensor([0.0, torch.nan, 1e-45, 1e20, -1e20, torch.inf, 3.4e38, -torch.inf, -3.4e38])
Make = Callable[..., PruningSampler]
Losses = Callable[[Tensor, int], Tensor]
Findings = Iterator[tuple[bool, str]]


def check_sampler(sampler: type[PruningSampler], **settings: Any) -> None:
    """Check that a sampler keeps what `PruningSampler` promises to a training loop.

    The promises: the length of epochs and different samples in them, for any scores; one subset in a period; samples
    that depend on the seed and the scores alone, not on global random states; resuming bit for bit from a saved state,
    at the start and in the middle of an epoch; copies and pickles, whose class need not be found by its name; the same
    subset in all processes, which are simulated by `dynprune_lib.samplers.merge`; recording without waiting for the
    device; scores that are not finite, batches that are empty or have a sample several times, losses of any type.

    Args:
        sampler: a subclass of `PruningSampler`.
        settings: those of the class, such as `prune_rate` and its own; the checks choose `num_samples`, and `period`,
            `warm_up`, `anneal_from`, `rescale` and `seed` where they need others than the defaults. A function stands
            for what it returns for a number of samples. `scores` and `labels` have defaults.

    Raises:
        AssertionError: if a promise is broken. The message is a sentence that names the promise and the smallest number
            of samples at which it was found to be broken.
        ValueError: if no sampler can be made with these settings.

    Example:
        >>> from dataclasses import dataclass
        >>> from dynprune_lib.samplers import Memory
        >>> @dataclass(eq=False)
        ... class Hardest(PruningSampler):
        ...     remembers = {"last": Memory(torch.inf)}
        ...
        ...     def select(self):
        ...         return self.memory["last"].argsort(descending=True)[: self.num_kept]
        ...
        ...     def record(self, index, scores, usable):
        ...         last = self.memory["last"]
        ...         last[index] = torch.where(usable, scores, last[index])
        >>> check_sampler(Hardest)
        >>> class Careless(Hardest):
        ...     def record(self, index, scores, usable):
        ...         self.memory["last"][index] = scores
        >>> check_sampler(Careless)
        Traceback (most recent call last):
            ...
        AssertionError: Careless with 2 samples breaks the promise that scores which are not finite are not recorded ...
    """
    before = _random_states()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the checks do on purpose what a loop is warned of
            for num_samples in SIZES:
                _check(sampler, num_samples, settings)
    finally:
        _set_random_states(before)


def _check(sampler: type[PruningSampler], num_samples: int, settings: Mapping[str, Any]) -> None:
    arguments = inspect.signature(sampler).parameters
    own = {name: value for name, value in OF_SAMPLES.items() if name in arguments} | dict(settings)
    given = {name: value(num_samples) if callable(value) else value for name, value in own.items()}
    try:
        sampler(num_samples, **given)
    except ValueError:
        if num_samples < SIZES[-1]:
            return  # the settings do not allow so few samples
        raise
    for promise, findings in PROMISES.items():
        found = findings(lambda **more: sampler(num_samples, **given | more))
        fault, cause = None, None
        try:
            fault = next((what for is_kept, what in found if not is_kept), None)
        except Exception as error:
            fault, cause = f"{type(error).__name__}: {error}".splitlines()[0], error
        if fault:
            who = f"{sampler.__name__} with {num_samples} samples"
            raise AssertionError(f"{who} breaks the promise that {promise}: {fault}") from cause


# Training without a model --------------------------------------------------------------------------------------------


def _losses(index: Tensor, epoch: int) -> Tensor:
    """Return losses in [0, 2], which depend on the samples and the epoch alone; some are equal."""
    return ((index * 37 + epoch * 11) % 101).float() / 50


def _train(sampler: PruningSampler, samples: list[int], losses: Losses = _losses) -> None:
    for index in torch.tensor(samples, dtype=torch.int64).split(BATCH):
        values = losses(index, sampler.epoch)
        sampler.update(index, values, scores=values)


def _epochs(sampler: PruningSampler, epochs: range = range(EPOCHS), losses: Losses = _losses) -> Iterator[list[int]]:
    """Yield the samples of each epoch in their order, then train on them."""
    for epoch in epochs:
        sampler.set_epoch(epoch)
        samples = list(sampler)
        yield samples
        _train(sampler, samples, losses)


def _trained(make: Make, **chosen: Any) -> PruningSampler:
    sampler = make(**chosen)
    list(_epochs(sampler, range(2)))
    return sampler


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)


# The promises: whether each is kept, and what is wrong if it is not ---------------------------------------------------


def _lengths(make: Make) -> Findings:
    for losses in KINDS:
        sampler = make(warm_up=1, anneal_from=EPOCHS - 1)
        for epoch, samples in enumerate(_epochs(sampler, losses=losses)):
            most = sampler.num_kept if 0 < epoch < EPOCHS - 1 else sampler.num_samples
            is_own = 0 < len(samples) < most == sampler.num_kept and not sampler.has_fixed_length
            yield len(samples) == most or is_own, f"epoch {epoch} has {len(samples)} samples, not {most}"
            yield len(set(samples)) == len(samples), f"epoch {epoch} has a sample several times in {samples}"
            outside = set(samples) - set(range(sampler.num_samples))
            yield not outside, f"epoch {epoch} has samples {outside}, which are not in the data set"
            yield len(samples) == len(sampler), f"epoch {epoch} has {len(samples)} samples, and len {len(sampler)}"


def _one_subset(make: Make) -> Findings:
    sampler, before = make(period=2, warm_up=0, anneal_from=None), None
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        samples, subset = list(sampler), sampler.subset().tolist()
        yield epoch % 2 == 0 or subset == before, f"epoch {epoch} has other samples than epoch {epoch - 1}"
        for part in (samples[:BATCH], samples[BATCH:]):
            yield sorted(samples) == subset, f"epoch {epoch} has the samples {samples} and the subset {subset}"
            _train(sampler, part)
            is_same = list(sampler) == samples and sampler.subset().tolist() == subset
            yield is_same, f"epoch {epoch} has other samples after {len(part)} of them were trained on"
        before = subset


def _own_randomness(make: Make) -> Findings:
    runs = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the global state is the subject)
        torch.default_generator.manual_seed(seed)
        before = _random_states()
        runs.append(list(_epochs(make())))
        for name, state in _random_states().items():
            yield _is_same(state, before[name]), f"a run changes the random state of {name}"
    yield runs[0] == runs[1], "other global seeds give other samples"


def _determined(make: Make) -> Findings:
    first, again, other = (list(_epochs(make(seed=seed, period=2))) for seed in (0, 0, 1))
    yield first == again, "two runs with one seed and the same scores have different samples"
    orders = [tuple(samples) for samples in first if len(samples) >= MANY]
    yield len(set(orders)) == len(orders), "two epochs have the same order"
    yield not orders or first != other, "the seeds 0 and 1 give the same orders"
    through, at_once = make(), make()
    for epoch in range(EPOCHS):
        through.set_epoch(epoch)
    at_once.set_epoch(EPOCHS - 1)
    yield list(through) == list(at_once), f"epoch {EPOCHS - 1} has other samples if the epochs before are left out"


def _only_finite(make: Make) -> Findings:
    for bad in (torch.nan, torch.inf, -torch.inf):
        sampler, expected = _trained(make), _trained(make)
        index = sampler.subset()[:BATCH]
        scores = _losses(index, 2)
        scores[0] = bad
        sampler.observe(index, scores)
        if len(index) > 1:
            expected.observe(index[1:], scores[1:])
        yield _is_same(sampler.memory, expected.memory), f"a score of {bad} changes what is remembered"
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            sampler.set_epoch(2)
        of_it = [each for each in told if "1 scores of epoch 1 were not finite" in str(each.message)]
        yield len(of_it) == 1, f"after a score of {bad}, set_epoch gives {len(of_it)} warnings of it"


def _own_memory(make: Make) -> Findings:
    sampler = make()
    list(_epochs(sampler, losses=KINDS[-1]))
    check_memory(sampler.memory, sampler.remembers, sampler.num_samples)
    yield True, ""


def _resumes(make: Make) -> Findings:
    for done in (0, BATCH):
        whole, resumed, file = make(period=2), make(period=2), io.BytesIO()
        list(_epochs(whole, range(3)))
        whole.set_epoch(3)  # in the middle of a period
        samples = list(whole)
        _train(whole, samples[:done])
        torch.save(whole.state_dict(), file)
        _train(whole, samples[done:])
        expected = [samples[done:], *_epochs(whole, range(4, EPOCHS))]
        file.seek(0)
        resumed.load_state_dict(torch.load(file, weights_only=True), skip_trained=True)
        where = f"a run that is resumed after {done} samples of an epoch"
        yield list(_epochs(resumed, range(3, EPOCHS))) == expected, f"{where} has other samples"
        yield _is_same(resumed.state_dict(), whole.state_dict()), f"{where} ends in another state"


def _copies(make: Make) -> Findings:
    for duplicate in (copy.deepcopy, _through_pickle):
        sampler = _trained(make)
        copied = duplicate(sampler)
        runs = [list(_epochs(each, range(2, EPOCHS))) for each in (copied, sampler)]
        yield runs[0] == runs[1], "a copy has other samples"


def _processes(make: Make) -> Findings:
    alone, processes = make(), [make() for _ in range(WORLD)]
    for epoch in range(EPOCHS):
        alone.set_epoch(epoch)
        shares = []
        for rank, sampler in enumerate(processes):
            with _as_process(rank):
                sampler.set_epoch(epoch)
                shares.append(list(sampler))
            is_same = torch.equal(sampler.subset(), alone.subset())
            yield is_same, f"process {rank} of {WORLD} has another subset in epoch {epoch} than a single one"
        size, together = len(alone.subset()) // WORLD, {sample for share in shares for sample in share}
        is_shared = {len(share) for share in shares} == {size} and len(together) == WORLD * size
        yield is_shared, f"the shares {shares} of epoch {epoch} overlap or differ in length"
        for rank, sampler in enumerate(processes):
            _train(alone, shares[rank])
            with _as_process(rank):
                _train(sampler, shares[rank])
        merged = merge([(sampler._recorded, sampler.memory) for sampler in processes])
        for sampler in processes:
            sampler.memory = {name: tensor.clone() for name, tensor in merged.items()}
            sampler._recorded.zero_()


def _never_waits(make: Make) -> Findings:
    for device in ("meta", "cuda") if torch.cuda.is_available() else ("meta",):  # a meta tensor has nothing to wait for
        sampler = make()
        index, losses = torch.zeros(1, device=device).long(), torch.zeros(1, device=device)
        sampler.update(index, losses, losses)  # moves the memory, for which a GPU waits once
        with _without_waiting() if device == "cuda" else nullcontext():
            sampler.update(index, losses, losses)
            sampler.observe(index, losses)
        yield True, ""


def _any_batch(make: Make) -> Findings:
    sampler = _trained(make)
    before = copy.deepcopy(sampler.state_dict())
    sampler.update(torch.empty(0, dtype=torch.int64), torch.empty(0))
    yield _is_same(sampler.state_dict(), before), "an empty batch changes the state"
    index, scores, once = sampler.subset()[:2], torch.tensor([1.0, 2.0]), copy.deepcopy(sampler)
    once.observe(index, scores[: len(index)])
    scores = scores[: len(index)].double()
    sampler.observe(index.repeat(2).int(), torch.cat([scores - 0.5, scores]))
    yield _is_same(sampler.memory, once.memory), "a sample that is twice in a batch does not get its highest score once"
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        losses = torch.ones(len(index), dtype=dtype, requires_grad=True)
        loss = once.update(index, losses)
        loss.backward()
        yield loss.dtype == dtype and losses.grad is not None, f"losses of {dtype} give a loss of {loss.dtype}"


def _any_default(make: Make) -> Findings:
    expected, default = _trained(make).state_dict(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = _trained(make).state_dict()
    finally:
        torch.set_default_dtype(default)
    yield _is_same(found, expected), "with float64 as the default, the state is another"


def _weights(make: Make) -> Findings:
    try:
        sampler = _trained(make, rescale=True)
    except ValueError:  # it does not define keep probabilities
        return
    sampler.set_epoch(2)
    weights = torch.stack([sampler.mean_loss(sample, torch.ones(1)) for sample in sampler.indices().split(1)])
    yield bool((weights > 0).all() and weights.isfinite().all()), f"they are {weights.tolist()}"
    mean = float(weights.mean())
    yield not sampler.has_fixed_length or abs(mean - 1) < 1e-5, f"their mean is {mean}"


PROMISES: dict[str, Callable[[Make], Findings]] = {
    "an epoch has `num_kept` different samples, for any scores, and all in warm-up and annealing": _lengths,
    "the epochs of a period have one subset, whatever is recorded": _one_subset,
    "the global random states are neither changed nor read": _own_randomness,
    "the samples depend on seed, epoch and scores alone, in an order that is new in each epoch": _determined,
    "scores which are not finite are not recorded, with one warning": _only_finite,
    "the memory has the types and ranges that `remembers` declares": _own_memory,
    "a sampler resumes from its saved state bit for bit": _resumes,
    "a sampler can be copied and pickled": _copies,
    "processes select the same and share it without overlap, whoever has recorded a score": _processes,
    "recording never waits for the device, as it would for `.item()` or `bool()` of a tensor": _never_waits,
    "batches may be empty, have a sample several times, and be of any type": _any_batch,
    "the default type of tensors changes nothing": _any_default,
    "the weights of rescaled losses are positive, with the mean 1": _weights,
}


# What the promises need ----------------------------------------------------------------------------------------------

KINDS: tuple[Losses, ...] = (  # of losses
    _losses,
    lambda index, _: torch.ones(len(index)),
    lambda index, epoch: EXTREME[(index + epoch) % len(EXTREME)],
)
OF_SAMPLES: dict[str, Callable[[int], Tensor]] = {  # arguments of samplers with a value for each sample
    "scores": lambda num_samples: _losses(torch.arange(num_samples), 0),
    "labels": lambda num_samples: torch.arange(num_samples) % 3,
}


def _random_states() -> dict[str, Any]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    numpy = (kind, keys.tolist(), *rest)  # type: ignore[attr-defined]  # of an array
    return {"Python": random.getstate(), "NumPy": numpy, "PyTorch": torch.get_rng_state()}


def _set_random_states(states: Mapping[str, Any]) -> None:
    random.setstate(states["Python"])
    np.random.set_state(states["NumPy"])  # noqa: NPY002
    torch.set_rng_state(states["PyTorch"])


def _through_pickle(sampler: PruningSampler) -> PruningSampler:
    """Return a sampler of what pickle saves of another one, whose class it need not find by name."""
    parts: Any = sampler.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    copied, content = parts[0](*parts[1]), parts[2]
    vars(copied).update(pickle.loads(pickle.dumps(content)))
    return copied


def _as_process(rank: int) -> AbstractContextManager[Any]:
    """Be one of several processes, whose collective calls do nothing: what they record is merged by the caller."""
    return mock.patch.multiple(
        dist,
        is_initialized=lambda: True,
        get_world_size=lambda *_: WORLD,
        get_rank=lambda *_: rank,
        get_backend_config=lambda *_: "cpu:gloo",
        all_reduce=lambda *_: None,
    )


@contextmanager
def _without_waiting() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
