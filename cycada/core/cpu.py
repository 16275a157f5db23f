"""What the processor computes by itself, as PyTorch sees it."""

from __future__ import annotations

import platform
from functools import cache

import torch


@cache
def has_matrix_units() -> bool:
    """Return whether the processor has Intel's matrix units (AMX), which multiply matrices in bf16."""
    return _has("amx_tile")


@cache
def multiplies_bf16() -> bool:
    """Return whether the processor is known to have instructions for products in bf16: AMX or AVX512-BF16."""
    return has_matrix_units() or _has("avx512_bf16")


@cache
def computes_bf16() -> bool:
    """Return whether the processor has instructions for bf16; without them PyTorch converts every number.

    Only x86 is asked, by AMX and AVX512-BF16; every other processor counts as one that has them.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    return multiplies_bf16()


def _has(capability: str) -> bool:
    if hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get(capability))
    ask = getattr(torch.cpu, f"_is_{capability}_supported", None)  # PyTorch before 2.10
    return bool(ask and ask())
