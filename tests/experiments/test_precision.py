import pytest
import torch

from dynprune_lib.experiments.precision import _computes_in_bfloat16, used_precision


@pytest.mark.parametrize(
    ("capabilities", "used"),
    [
        ({"avx2": True, "avx512_bw": True, "avx512_bf16": False}, "bfloat16"),
        ({"avx2": True, "avx512_bw": False, "avx512_bf16": False}, "float32"),
        ({"sve": True, "bf16": True}, "bfloat16"),
    ],
)
def test_bfloat16_is_used_where_it_is_not_many_times_slower(monkeypatch, capabilities, used):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities, raising=False)
    _computes_in_bfloat16.cache_clear()
    assert used_precision("bfloat16", torch.device("cpu")) == used
    assert used_precision("float32", torch.device("cpu")) == "float32"
    _computes_in_bfloat16.cache_clear()
