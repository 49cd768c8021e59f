import pytest
import torch
import torch.nn.functional as F

from dynprune_lib.experiments.models import EPSILON, MODELS, Residual, Whitening, build_model, speedrun

DIGIT, TOKENS = torch.zeros(1, 1, 8, 8), torch.ones(2, 5, dtype=torch.int64)
OWN_INPUTS = {"mlp": torch.ones(2, 5), "bag": TOKENS, "tiny-bert": TOKENS}  # test_transformer.py has "minilm"
SLOW = {"tiny-bert": pytest.mark.slow}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW.get(name, ())) for name in sorted(MODELS.keys() - {"minilm"})]
)
def test_outputs_of_every_model(name):
    inputs = OWN_INPUTS.get(name, torch.zeros(2, 1, 28, 28))
    assert build_model(name, inputs, 7, seed=0)(inputs).shape == (2, 7)


def test_a_bag_of_embeddings_knows_neither_the_order_of_words_nor_their_padding():
    sentences = torch.tensor([[5, 6, 7, 0], [7, 5, 6, 0], [5, 6, 7, 8]])
    same, other_order, longer = build_model("bag", sentences, 3, seed=0)(sentences)
    torch.testing.assert_close(same, other_order)
    assert not torch.allclose(same, longer)
    torch.testing.assert_close(build_model("bag", sentences, 3, seed=0)(sentences[:1, :3])[0], same)


def test_resnet18_is_the_one_of_the_literature():
    model = build_model("resnet18", torch.zeros(1, 3, 32, 32), 10, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962
    assert (model[0].kernel_size, model[0].stride) == ((3, 3), (1, 1))
    assert not any(isinstance(module, torch.nn.MaxPool2d) for module in model.modules())
    assert model[:-2](torch.zeros(1, 3, 32, 32)).shape == (1, 512, 4, 4)


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
        ("bag", torch.zeros(1, 5), r"float32 inputs of shape \(5,\)"),
        ("mlp", TOKENS, r"int64 inputs of shape \(5,\)"),
    ],
)
def test_inputs_that_a_model_does_not_take_are_refused(name, inputs, given):
    with pytest.raises(ValueError, match=f"model {name} does not take {given}.*: choose another model"):
        build_model(name, inputs, 10, seed=0)


def test_the_filters_are_the_principal_directions_over_their_deviations():
    noise = torch.randn(50, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    images = F.avg_pool2d(noise, 3, stride=1, padding=1) + noise.mean(1, keepdim=True)  # neighbours are alike
    layer = Whitening(3)
    layer.fit(images)
    patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double()
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    for found, variance, direction in zip(layer.filters[:12].flatten(1), variances, directions.T, strict=True):
        expected = direction / (variance + EPSILON).sqrt()
        assert min((found - expected).abs().max(), (found + expected).abs().max()) < 1e-3 * expected.abs().max()
    assert torch.equal(layer.filters[12:], -layer.filters[:12])
    torch.testing.assert_close(layer(images), F.conv2d(images, layer.filters))  # the bias begins at 0
    assert [name for name, _ in layer.named_parameters()] == ["bias"]  # the filters are not trained
    assert "filters" in layer.state_dict()


def test_convolutions_begin_as_the_identity_and_norms_have_a_bias_and_no_scale():
    net = speedrun(3, 10)
    x = torch.randn(2, 24, 8, 8)
    torch.testing.assert_close(net[2](x)[:, :24], x)  # 24 to 32 channels: the first ones pass through
    y = torch.randn(2, 256, 4, 4)
    expected = F.gelu(y + F.gelu(y / (1 + 1e-5) ** 0.5) / (1 + 1e-5) ** 0.5)
    torch.testing.assert_close(net[20].eval()(y), expected)
    assert sum(isinstance(layer, Residual) for layer in speedrun(3, 10, (8, 8, 8))) == 1  # the last layers alone
    assert not [norm for norm in net.modules() if isinstance(norm, torch.nn.BatchNorm2d) and norm.weight.requires_grad]
    norm, reference, z = net[4], torch.nn.BatchNorm2d(32), torch.randn(4, 32, 5, 5)
    for _ in range(2):
        torch.testing.assert_close(norm(z), reference(z))
    torch.testing.assert_close(norm.eval()(z), reference.eval()(z))
