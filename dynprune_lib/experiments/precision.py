"""Precision of the forward and backward pass on a device."""

import functools

import torch


def used_precision(precision: str, device: torch.device) -> str:
    """Return the precision that a device uses: float32 where bfloat16 would be many times slower.

    CPUs with AVX-512 but no bfloat16 instructions round as those that have them, only slower: their runs compare.
    """
    return precision if _computes_in_bfloat16(device) else "float32"


@functools.cache  # asked at every step
def _computes_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(value for name, value in capabilities.items() if name.endswith("bf16") or name == "avx512_bw")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the autocast context of a forward pass, see `used_precision`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=used_precision(precision, device) == "bfloat16")
