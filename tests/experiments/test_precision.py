import pytest
import torch
from torch.nn import functional as F

from dynprune_lib.experiments.precision import _computes_in_bfloat16, autocast, used_precision


@pytest.mark.parametrize(
    ("capabilities", "used"),
    [
        ({"avx2": True, "avx512_bw": True, "avx512_bf16": True}, "bfloat16"),
        ({"avx2": True, "avx512_bw": True, "avx512_bf16": False}, "bfloat16"),
        ({"avx2": True, "avx512_bw": False, "avx512_bf16": False}, "float32"),
        ({"sve": True, "bf16": True}, "bfloat16"),
        ({"sve": True, "bf16": False}, "float32"),
    ],
)
def test_bfloat16_is_used_where_it_is_not_many_times_slower(monkeypatch, capabilities, used):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities, raising=False)
    _computes_in_bfloat16.cache_clear()
    assert used_precision("bfloat16", torch.device("cpu")) == used
    assert used_precision("float32", torch.device("cpu")) == "float32"
    _computes_in_bfloat16.cache_clear()


@pytest.mark.skipif(used_precision("bfloat16", torch.device("cpu")) != "bfloat16", reason="no bfloat16 on this CPU")
def test_bfloat16_with_or_without_own_instructions_rounds_an_exact_convolution():
    generator = torch.Generator().manual_seed(0)
    images, weights = (torch.randn(shape, generator=generator) for shape in ((4, 32, 16, 16), (64, 32, 3, 3)))
    with autocast(torch.device("cpu"), "bfloat16"):
        outputs = F.conv2d(images, weights, padding=1)
    exact = F.conv2d(images.bfloat16().double(), weights.bfloat16().double(), padding=1)
    assert outputs.dtype == torch.bfloat16
    assert (outputs == exact.bfloat16()).float().mean() > 0.99  # the rest: sums in float32 next to a tie
