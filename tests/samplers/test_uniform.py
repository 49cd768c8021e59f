import torch

from dynprune_lib import DynamicRandom, StaticRandom


def subsets(sampler, epochs):
    found = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        found.append(frozenset(sampler.subset().tolist()))
    return found


def test_static_random_keeps_one_subset_and_not_the_first_samples():
    found = subsets(StaticRandom(100, 0.5, seed=1), 5)
    assert len(set(found)) == 1
    assert found[0] != frozenset(range(50))


def test_dynamic_random_draws_a_new_subset_every_period():
    assert len(set(subsets(DynamicRandom(100, 0.5), 5))) == 5
    assert len(set(subsets(DynamicRandom(100, 0.5, period=2), 6))) == 3


def test_dynamic_random_is_uniform():
    sampler = DynamicRandom(50, 0.8)
    counts = torch.zeros(50)
    for epoch in range(1000):
        sampler.set_epoch(epoch)
        counts[sampler.subset()] += 1
    # expectation 200, standard deviation 12.6
    assert counts.min() > 200 - 5 * 12.6
    assert counts.max() < 200 + 5 * 12.6
