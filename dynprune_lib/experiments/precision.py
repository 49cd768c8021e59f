"""In which precision a device computes."""

import functools

import torch


def used_precision(wanted: str, device: torch.device) -> str:
    """float32 in place of bfloat16 where the device does not compute in it: in software, it takes far longer."""
    return wanted if _computes_in_bfloat16(device) else "float32"


@functools.cache  # it is asked at every step
def _computes_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(value for name, value in capabilities.items() if name.endswith("bf16"))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context of a forward pass in a precision of PRECISIONS, or in what the device has in its place."""
    return torch.autocast(device.type, torch.bfloat16, enabled=used_precision(precision, device) == "bfloat16")
