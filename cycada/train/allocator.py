"""Memory of tensors on a CPU that is kept for the next tensor instead of going back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's numbers of the two settings (malloc.h)."""
LARGEST_KEPT = 2**25
"""Bytes of the largest tensor whose memory is kept; glibc knows no larger limit."""
NEVER = -1
"""A threshold that no amount of free memory reaches."""


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for later tensors; elsewhere do nothing.

    Every tensor of a training step is otherwise memory that the system maps, clears page by page on first
    use, and takes back a moment later, which costs a tenth or more of a step's time on a CPU. Results do not
    change, nor does the most memory that is held: the next step needs as much again. Tensors above 32 MiB go
    back as before. `return_freed_memory` ends it for what is free by then.
    """
    if mallopt := _glibc("mallopt"):
        mallopt(MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(TRIM_THRESHOLD, NEVER)


def return_freed_memory() -> None:
    """Give the memory that was kept back to the system, so that a process of many runs does not grow."""
    if malloc_trim := _glibc("malloc_trim"):
        malloc_trim(0)


def _glibc(name: str) -> Callable[..., int] | None:
    """Return a function of glibc; None where the C library is another one, which has none of the name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
