import torch
import torch.nn.functional as F

from dynprune_lib.experiments.augment import alternating_flips, augment, normalize


def images(batch=64, size=6, channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (batch, size, size, channels), generator=generator, dtype=torch.uint8)


def every_crop(image, pad):
    """All crops of the padded image, by plain slicing."""
    height, width, channels = image.shape
    padded = torch.zeros(height + 2 * pad, width + 2 * pad, channels, dtype=torch.uint8)
    padded[pad : pad + height, pad : pad + width] = image
    offsets = range(2 * pad + 1)
    return {(top, left): padded[top : top + height, left : left + width] for top in offsets for left in offsets}


def which(image, result, pad):
    """(top, left, mirrored) of the crop that the result is."""
    for mirrored, candidate in ((False, image), (True, image.flip(1))):
        for (top, left), crop in every_crop(candidate, pad).items():
            if torch.equal(crop, result):
                return top, left, mirrored
    return None


def test_every_result_is_a_crop_of_its_image_and_all_crops_occur():
    batch = images(600)
    results = augment(batch, 1, True, torch.Generator().manual_seed(1))
    assert results.shape == batch.shape
    assert results.dtype == torch.uint8
    found = [which(image, result, 1) for image, result in zip(batch, results, strict=True)]
    assert None not in found
    counts = torch.tensor([found.count(crop) for crop in set(found)])
    assert len(counts) == 3 * 3 * 2
    assert counts.min() > 600 / 18 / 3  # uniform: 33 expected, standard deviation 5.6


def test_a_reflected_border_is_that_of_torch():
    batch = images(100)
    padded = F.pad(batch.permute(0, 3, 1, 2).float(), (2, 2, 2, 2), mode="reflect").permute(0, 2, 3, 1).to(torch.uint8)
    # a generator of the same state draws the same crops, here from images that are padded already
    results = augment(batch, 2, False, torch.Generator().manual_seed(3), padding="reflect")
    top, left = torch.randint(5, (2, 100, 1), generator=torch.Generator().manual_seed(3)).squeeze(-1).tolist()
    for result, image, row, column in zip(results, padded, top, left, strict=True):
        assert torch.equal(result, image[row : row + 6, column : column + 6])


def test_the_images_to_mirror_can_be_given():
    batch, flip = images(), torch.arange(64) % 3 == 0
    results = augment(batch, 0, flip, torch.Generator())
    assert torch.equal(results, torch.where(flip[:, None, None, None], batch.flip(2), batch))


def test_a_sample_is_mirrored_every_other_time_that_it_is_trained_on():
    views = torch.randint(9, (1_000,), generator=torch.Generator().manual_seed(0))
    now, next_time = alternating_flips(5, views), alternating_flips(5, views + 1)
    assert torch.equal(now, ~next_time)
    assert torch.equal(now, alternating_flips(5, views + 2))
    first = alternating_flips(5, torch.zeros(1_000, dtype=torch.int32))
    assert 400 < first.sum() < 600
    assert not torch.equal(first, alternating_flips(6, torch.zeros(1_000, dtype=torch.int32)))


def test_no_image_is_mirrored_without_flip():
    batch = images()
    results = augment(batch, 0, True, torch.Generator().manual_seed(0))
    assert 10 < sum(not torch.equal(a, b) for a, b in zip(batch, results, strict=True)) < 54
    assert torch.equal(augment(batch, 0, False, torch.Generator().manual_seed(0)), batch)


def test_normalized_training_images_have_mean_0_and_deviation_1(digits):
    x = normalize(digits.train.images, digits)
    assert x.shape == (1437, 1, 8, 8)
    assert abs(x.mean().item()) < 1e-5
    assert abs(x.std().item() - 1) < 1e-3


def test_normalized_images_lie_channels_last():
    from dynprune_lib.experiments.data import ImageData

    batch = images()
    data = ImageData("", (), None, None, "", mean=torch.zeros(3), std=torch.ones(3), pad=0, flip=False)
    x = normalize(batch, data)
    assert x.shape == (64, 3, 6, 6)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x[5, 2, 1, 4] == batch[5, 1, 4, 2]
