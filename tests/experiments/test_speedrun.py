import torch
import torch.nn.functional as F

from dynprune_lib.experiments.speedrun import EPSILON, Residual, Whitening, speedrun


def correlated_images(count=2_000):
    """Images whose neighbouring pixels and channels are alike."""
    noise = torch.randn(count, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 3, stride=1, padding=1) + noise.mean(1, keepdim=True)


def test_whitened_patches_are_uncorrelated_with_variance_1():
    images, layer = correlated_images(), Whitening(3)
    layer.fit(images)
    whitened = layer(images).transpose(0, 1).flatten(1).double()
    half = len(whitened) // 2
    torch.testing.assert_close(whitened[half:], -whitened[:half])
    variances = (whitened[:half] @ whitened[:half].T / whitened.shape[1]).detach()
    assert (variances - variances.diag().diag()).abs().max() < 1e-4
    assert (variances.diag() > 0.95).all()
    assert (variances.diag() < 1 + 1e-4).all()  # EPSILON takes a little of the smallest


def test_the_filters_are_the_principal_directions_over_their_deviations():
    images, layer = correlated_images(50), Whitening(3)
    layer.fit(images)
    patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double()
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    for found, variance, direction in zip(layer.filters[:12].flatten(1), variances, directions.T, strict=True):
        expected = direction / (variance + EPSILON).sqrt()
        assert min((found - expected).abs().max(), (found + expected).abs().max()) < 1e-3 * expected.abs().max()


def test_the_filters_are_not_trained_and_the_bias_is():
    layer = Whitening(3)
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    assert "filters" in layer.state_dict()


def test_convolutions_begin_as_the_identity():
    net = speedrun(3, 10)
    x = torch.randn(2, 24, 8, 8)
    torch.testing.assert_close(net[2](x)[:, :24], x)  # 24 to 32 channels: the first ones pass through
    residual = Residual(16).eval()
    y = torch.randn(2, 16, 8, 8)
    expected = F.gelu(y + F.gelu(y / (1 + 1e-5) ** 0.5) / (1 + 1e-5) ** 0.5)
    torch.testing.assert_close(residual(y), expected)


def test_norms_have_a_bias_and_no_scale_and_compute_what_torch_does():
    net = speedrun(3, 10)
    assert not [name for name, _ in net.named_parameters() if "scale" in name]
    norm, reference = net[4], torch.nn.BatchNorm2d(32)
    x = torch.randn(4, 32, 5, 5)
    for _ in range(2):
        torch.testing.assert_close(norm(x), reference(x))
    torch.testing.assert_close(norm.eval()(x), reference.eval()(x))
