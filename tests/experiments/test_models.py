import pytest
import torch

from dynprune_lib.experiments.models import MODELS, build_model

DIGIT = torch.zeros(1, 1, 8, 8)


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"bag", "mlp"}))
@pytest.mark.parametrize(("channels", "size", "classes"), [(3, 32, 10), (1, 28, 7)])
def test_logits_of_every_class(name, channels, size, classes):
    images = torch.zeros(2, channels, size, size)
    assert build_model(name, images, classes, seed=0)(images).shape == (2, classes)


@pytest.mark.parametrize(("name", "inputs"), [("mlp", torch.ones(2, 5)), ("bag", torch.ones(2, 5, dtype=torch.int64))])
def test_outputs_for_rows_and_sentences(name, inputs):
    assert build_model(name, inputs, 3, seed=0)(inputs).shape == (2, 3)


def test_a_bag_of_embeddings_knows_neither_the_order_of_words_nor_their_padding():
    sentences = torch.tensor([[5, 6, 7, 0], [7, 5, 6, 0], [5, 6, 7, 8]])
    same, other_order, longer = build_model("bag", sentences, 3, seed=0)(sentences)
    torch.testing.assert_close(same, other_order)
    assert not torch.allclose(same, longer)
    torch.testing.assert_close(build_model("bag", sentences, 3, seed=0)(sentences[:1, :3])[0], same)


def test_tiny_takes_the_digits():
    assert build_model("tiny", DIGIT, 10, seed=0)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_resnet18_is_the_one_of_the_literature():
    model = build_model("resnet18", torch.zeros(1, 3, 32, 32), 10, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962
    stem = model[0]
    assert (stem.kernel_size, stem.stride) == ((3, 3), (1, 1))
    assert not any(isinstance(module, torch.nn.MaxPool2d) for module in model.modules())
    features = model[:-2](torch.zeros(1, 3, 32, 32))
    assert features.shape == (1, 512, 4, 4)


def test_the_seed_alone_decides_the_initialisation():
    def weights(seed):
        return torch.cat([parameter.flatten() for parameter in build_model("tiny", DIGIT, 10, seed).parameters()])

    before = torch.get_rng_state()
    one = weights(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert torch.equal(weights(1), one)
    assert not torch.equal(weights(2), one)


@pytest.mark.parametrize(
    ("name", "inputs", "given"),
    [
        ("small", DIGIT, r"float32 inputs of shape \(1, 8, 8\)"),
        ("mlp", DIGIT, r"float32 inputs of shape \(1, 8, 8\)"),
        ("tiny", torch.zeros(1, 5), r"float32 inputs of shape \(5,\)"),
        ("bag", torch.zeros(1, 5), r"float32 inputs of shape \(5,\)"),
        ("bag", DIGIT, "float32 inputs"),
        ("mlp", torch.ones(1, 5, dtype=torch.int64), r"int64 inputs of shape \(5,\)"),
    ],
)
def test_inputs_that_a_model_does_not_take_are_refused(name, inputs, given):
    with pytest.raises(ValueError, match=f"model {name} does not take {given}.*: choose another model"):
        build_model(name, inputs, 10, seed=0)
