"""Per-sample losses of any shape and kind. The doctests of `dynprune_lib.losses` show the common ones."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dynprune_lib import UCB, per_sample, unreduced
from dynprune_lib.losses import per_sample_cross_entropy


@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 4, 3)])
def test_losses_are_averaged_over_all_but_the_batch(shape):
    losses = torch.rand(shape, requires_grad=True)
    loss = UCB(8, 0.5).update(torch.arange(8), per_sample(losses))
    assert loss.item() == pytest.approx(losses.mean().item())
    loss.backward()
    assert torch.allclose(losses.grad, torch.full(shape, 1 / losses.numel()))


@pytest.mark.parametrize(
    ("given", "losses"),
    [
        ([0.5, 1.5], [0.5, 1.5]),
        (np.array([0.5, 1.5]), [0.5, 1.5]),
        ((torch.tensor([0.5, 1.0]), torch.tensor([0.0, 0.5])), [0.5, 1.5]),
        ({"label": torch.ones(4), "box": torch.ones(4, 3), "mask": torch.ones(4, 2, 2)}, [3.0] * 4),
        ({"box": np.array([1.0, 2.0]), "label": [10.0, 20.0]}, [11.0, 22.0]),
    ],
)
def test_lists_and_arrays_are_taken_and_parts_are_added(given, losses):
    assert torch.as_tensor(per_sample(given)).tolist() == losses


@pytest.mark.parametrize("losses", [torch.tensor(1.0), 0.5, {"a": torch.tensor(1.0)}])
def test_scalars_are_refused(losses):
    with pytest.raises(ValueError, match=r"losses is a scalar: .* unreduced\(criterion\)"):
        per_sample(losses)


@pytest.mark.parametrize(
    ("index", "losses", "remedy"),
    [
        (torch.arange(8), torch.rand(8, 1), r"dynprune_lib.per_sample\(losses\)"),
        (torch.arange(8), {"a": torch.rand(8)}, r"dynprune_lib.per_sample\(losses\)"),
        (torch.arange(8), [0.5] * 8, r"dynprune_lib.per_sample\(losses\)"),
        (range(2), torch.rand(2), r"index is a range: it must be a tensor: pass torch.as_tensor\(index\)"),
    ],
)
def test_the_error_of_a_sampler_names_the_remedy(index, losses, remedy):
    with pytest.raises(ValueError, match=remedy):
        UCB(8, 0.5).update(index, losses)


@pytest.mark.parametrize(
    ("criterion", "output", "target"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), torch.rand(6, 3), torch.arange(6) % 3),
        (nn.MSELoss(), torch.rand(6, 2), torch.rand(6, 2)),
    ],
)
def test_a_criterion_without_its_mean(criterion, output, target):
    losses = per_sample(unreduced(criterion)(output, target))
    assert losses.shape == (6,)
    assert losses.mean().item() == pytest.approx(criterion(output, target).item(), rel=1e-5)
    assert criterion.reduction == "mean"  # it is copied
    with pytest.raises(ValueError, match="Identity has no attribute reduction to set to 'none'"):
        unreduced(nn.Identity())


@pytest.mark.parametrize("smoothing", [{}, {"label_smoothing": 0.2}])
def test_cross_entropy_of_sequences_leaves_out_what_does_not_count(smoothing):
    logits, labels = torch.randn(3, 4, 5), torch.tensor([[1, -100, 3, -100], [2, -100, -100, -100], [-100] * 4])
    losses = per_sample_cross_entropy(logits, labels, **smoothing)
    expected = [F.cross_entropy(logits[sample], labels[sample], **smoothing).item() for sample in (0, 1)]
    assert losses.tolist() == pytest.approx([*expected, 0.0])
