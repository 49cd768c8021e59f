import torch
import torch.nn.functional as F

from dynprune_lib.experiments.augment import alternating_flips, augment, normalize
from dynprune_lib.experiments.data import ImageData


def images(batch=64, size=6, channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (batch, size, size, channels), generator=generator, dtype=torch.uint8)


def test_every_result_is_a_crop_of_its_image_and_all_crops_occur():
    batch = images(600)
    results = augment(batch, 1, True, torch.Generator().manual_seed(1))
    assert (results.shape, results.dtype) == (batch.shape, torch.uint8)
    padded = F.pad(torch.stack([batch, batch.flip(2)]), (0, 0, 1, 1, 1, 1))
    crops = padded.unfold(2, 6, 1).unfold(3, 6, 1)  # (sides, images, top, left, channels, 6, 6)
    is_it = (crops == results.permute(0, 3, 1, 2)[:, None, None]).flatten(-3).all(-1)
    assert (is_it.sum((0, 2, 3)) == 1).all()
    assert is_it.sum(1).min() > 600 / 18 / 3  # uniform: 33 expected, standard deviation 5.6


def test_a_reflected_border_is_that_of_torch():
    batch = images(100)
    padded = F.pad(batch.permute(0, 3, 1, 2).float(), (2, 2, 2, 2), mode="reflect").permute(0, 2, 3, 1).to(torch.uint8)
    # a generator of the same state draws the same crops, here from images that are padded already
    results = augment(batch, 2, False, torch.Generator().manual_seed(3), padding="reflect")
    top, left = torch.randint(5, (2, 100, 1), generator=torch.Generator().manual_seed(3)).squeeze(-1).tolist()
    for result, image, row, column in zip(results, padded, top, left, strict=True):
        assert torch.equal(result, image[row : row + 6, column : column + 6])


def test_the_images_to_mirror_can_be_given_and_may_be_none():
    batch, flip = images(), torch.arange(64) % 3 == 0
    results = augment(batch, 0, flip, torch.Generator())
    assert torch.equal(results, torch.where(flip[:, None, None, None], batch.flip(2), batch))
    assert torch.equal(augment(batch, 0, False, torch.Generator()), batch)


def test_a_sample_is_mirrored_every_other_time_that_it_is_trained_on():
    views = torch.randint(9, (1_000,), generator=torch.Generator().manual_seed(0))
    now, next_time = alternating_flips(5, views), alternating_flips(5, views + 1)
    assert torch.equal(now, ~next_time)
    assert torch.equal(now, alternating_flips(5, views + 2))
    first = alternating_flips(5, torch.zeros(1_000, dtype=torch.int32))
    assert 400 < first.sum() < 600
    assert not torch.equal(first, alternating_flips(6, torch.zeros(1_000, dtype=torch.int32)))


def test_normalized_images_have_mean_0_and_deviation_1_and_lie_channels_last():
    batch, mean, std = images(), torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0])
    x = normalize(batch, ImageData("", (), None, None, "", mean=mean, std=std, pad=0, flip=False))
    assert x.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(x, ((batch - mean) / std).permute(0, 3, 1, 2))
