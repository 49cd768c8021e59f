"""Per-sample losses of any shape and kind. The doctests of `dynprune_lib.losses` show the common ones."""

from inspect import signature

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dynprune_lib import UCB, per_sample, per_sample_cross_entropy, unreduced


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


B, C = 6, 4
LABELS = torch.tensor([0, 1, 2, 3, 1, -100])
TOKENS = torch.tensor([[-100] * 5, [1, 2, -100, -100, -100], [3] * 5, [0, 1, 2, 3, 0], [1] * 5, [2] * 5])
BOTH, ONES, WEIGHT = (torch.tensor([0.0, 1.0] * 2).repeat(B, 1)), torch.ones(B, C), torch.tensor([0.1, 2.0, 3.0, 0.5])
TIMES = torch.full((B,), 20), torch.tensor([2, 3, 4, 1, 2, 3])  # of inputs and targets
CRITERIA = {  # every loss of torch that takes `reduction`, with batches
    nn.CrossEntropyLoss: [
        ({"label_smoothing": 0.1}, (B, C), LABELS),
        ({"weight": WEIGHT, "label_smoothing": 0.1}, (B, C), LABELS),
        ({"ignore_index": 2}, (B, C), LABELS.clamp(min=0)),
        ({"weight": WEIGHT}, (B, C, 5), TOKENS),
        ({"weight": WEIGHT}, (B, C), ONES / C),
    ],
    nn.NLLLoss: [({}, (B, C), LABELS), ({"weight": WEIGHT}, (B, C, 5), TOKENS)],
    nn.BCELoss: [({"weight": WEIGHT}, (B, C), BOTH)],
    nn.BCEWithLogitsLoss: [({}, (B, C), BOTH), ({"weight": WEIGHT, "pos_weight": WEIGHT}, (B, C), BOTH)],
    nn.MultiLabelSoftMarginLoss: [({"weight": WEIGHT}, (B, C), BOTH)],
    nn.MultiMarginLoss: [({"weight": WEIGHT}, (B, C), LABELS.clamp(min=0))],
    nn.MultiLabelMarginLoss: [({}, (B, C), torch.tensor([[1, 2, -1, 0]] * B))],
    nn.CTCLoss: [({}, (20, B, C), torch.tensor([[1, 2, 3, 1]] * B), *TIMES)],
    nn.KLDivLoss: [({}, (B, C), ONES / C)],
    nn.GaussianNLLLoss: [({}, (B, C), ONES, ONES)],
    nn.TripletMarginLoss: [({}, (B, C), ONES, BOTH)],
    nn.TripletMarginWithDistanceLoss: [({}, (B, C), ONES, BOTH)],
    nn.CosineEmbeddingLoss: [({}, (B, C), ONES, ONES[:, 0])],
    nn.MarginRankingLoss: [({}, (B,), ONES[:, 0], ONES[:, 0])],
}
CRITERIA |= {
    loss: [({}, (B, C, 2), torch.ones(B, C, 2))]
    for loss in (nn.L1Loss, nn.MSELoss, nn.SmoothL1Loss, nn.HuberLoss, nn.PoissonNLLLoss, nn.HingeEmbeddingLoss)
}
CRITERIA[nn.SoftMarginLoss] = [({}, (B, C), ONES)]


@pytest.mark.parametrize("reduction", ["mean", "sum", "batchmean"])
@pytest.mark.parametrize("loss", CRITERIA)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
def test_the_loss_of_a_batch_is_that_of_the_criterion(loss, reduction):
    if reduction == "batchmean" and loss is not nn.KLDivLoss:
        return
    for options, shape, *others in CRITERIA[loss]:
        criterion = loss(reduction=reduction, **options)
        output = torch.rand(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        sampler = UCB(B, 0.0)
        found = sampler.update(torch.arange(B), per_sample(unreduced(criterion)(output, *others)))
        expected = criterion(output, *others)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        gradients = [torch.autograd.grad(each, output)[0] for each in (found, expected)]
        assert torch.allclose(*gradients, atol=1e-6)
        assert criterion.reduction == reduction  # it is copied


def test_every_loss_of_torch_is_tested():
    takes = [
        each for name, each in vars(nn).items() if name.endswith("Loss") and "reduction" in signature(each).parameters
    ]
    assert set(takes) - set(CRITERIA) <= {getattr(nn, "LinearCrossEntropyLoss", None)}  # it has parameters


@pytest.mark.parametrize(
    ("criterion", "shape", "target", "plain"),
    [
        (nn.CrossEntropyLoss(weight=WEIGHT), (B, C), LABELS, nn.CrossEntropyLoss(reduction="none")),
        (nn.BCEWithLogitsLoss(WEIGHT, pos_weight=WEIGHT), (B, C), BOTH, nn.BCEWithLogitsLoss(reduction="none")),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_recorded_is_the_loss_without_weights_and_nothing_of_an_ignored_sample(criterion, shape, target, plain):
    output, sampler = torch.rand(shape), UCB(B, 0.0)
    sampler.update(torch.arange(B), unreduced(criterion)(output, target))
    expected = per_sample(plain(output, target))
    expected[target == -100 if target is LABELS else []] = torch.inf  # no score
    assert torch.allclose(sampler.memory["mean"], expected)
    sampler.set_epoch(1)


def test_a_mask_leaves_out_what_does_not_count():
    losses, mask, sampler = torch.rand(4, 3), torch.tensor([[True, True, True], [True, False, False]] * 2), UCB(4, 0.0)
    mask[3] = False
    loss = sampler.update(torch.arange(4), per_sample(losses, mask))
    assert loss.item() == pytest.approx(losses[mask].mean().item())
    own = [losses[sample][mask[sample]].mean().item() for sample in range(3)]
    assert sampler.memory["mean"].tolist() == pytest.approx([*own, torch.inf])
    both = per_sample([losses, losses], mask)
    assert both.scores[:3].tolist() == pytest.approx([2 * each for each in own])
    with pytest.raises(ValueError, match=r"mask has shape \(3,\) and losses \(4, 3\)"):
        per_sample(losses, mask[0])


class Doubled(nn.L1Loss):
    def forward(self, output, target):
        losses = (output - target).abs()
        return losses if self.reduction == "none" else 2 * losses.mean()


class Scaled(nn.L1Loss):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (Doubled(), "Doubled has the loss 2 for a batch whose unreduced losses have the mean 1"),
        (Scaled(), "Scaled has parameters, which a copy would not train"),
        (nn.Identity(), "Identity has no attribute reduction to set to 'none'"),
    ],
)
def test_a_criterion_that_has_no_losses_of_samples_is_refused(criterion, message):
    with pytest.raises(ValueError, match=message):
        unreduced(criterion)(torch.ones(2), torch.zeros(2))
    assert unreduced(Doubled(reduction="none"))(torch.ones(2), torch.zeros(2)).tolist() == [1, 1]


@pytest.mark.parametrize("smoothing", [{}, {"label_smoothing": 0.2}])
def test_cross_entropy_of_sequences_leaves_out_what_does_not_count(smoothing):
    logits, labels = torch.randn(3, 4, 5), torch.tensor([[1, -100, 3, -100], [2, -100, -100, -100], [-100] * 4])
    losses = per_sample_cross_entropy(logits, labels, **smoothing)
    expected = [F.cross_entropy(logits[sample], labels[sample], **smoothing).item() for sample in (0, 1)]
    assert losses.tolist() == pytest.approx([*expected, 0.0])
