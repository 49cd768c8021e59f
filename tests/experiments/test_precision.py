import pytest
import torch

from dynprune_lib.experiments.precision import _computes_in_bfloat16, used_precision


@pytest.mark.parametrize("has_it", [True, False])
def test_bfloat16_is_used_where_the_device_computes_in_it(monkeypatch, has_it):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True, "avx512_bf16": has_it}, raising=False)
    _computes_in_bfloat16.cache_clear()
    assert used_precision("bfloat16", torch.device("cpu")) == ("bfloat16" if has_it else "float32")
    assert used_precision("float32", torch.device("cpu")) == "float32"
    _computes_in_bfloat16.cache_clear()
