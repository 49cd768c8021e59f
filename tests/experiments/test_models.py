import pytest
import torch

from dynprune_lib.experiments.models import MODELS, build_model


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize(("channels", "size", "classes"), [(3, 32, 10), (1, 28, 7)])
def test_logits_of_every_class(name, channels, size, classes):
    model = build_model(name, (size, size, channels), classes, seed=0)
    assert model(torch.zeros(2, channels, size, size)).shape == (2, classes)


def test_tiny_takes_the_digits():
    assert build_model("tiny", (8, 8, 1), 10, seed=0)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_resnet18_is_the_one_of_the_literature():
    model = build_model("resnet18", (32, 32, 3), 10, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962
    stem = model[0]
    assert (stem.kernel_size, stem.stride) == ((3, 3), (1, 1))
    assert not any(isinstance(module, torch.nn.MaxPool2d) for module in model.modules())
    features = model[:-2](torch.zeros(1, 3, 32, 32))
    assert features.shape == (1, 512, 4, 4)


def test_the_seed_alone_decides_the_initialisation():
    def weights(seed):
        return torch.cat([parameter.flatten() for parameter in build_model("tiny", (8, 8, 1), 10, seed).parameters()])

    before = torch.get_rng_state()
    one = weights(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert torch.equal(weights(1), one)
    assert not torch.equal(weights(2), one)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="model small does not take images of 8 x 8: choose another model"):
        build_model("small", (8, 8, 1), 10, seed=0)
