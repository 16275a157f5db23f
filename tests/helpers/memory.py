"""How much memory this process takes, as the kernel counts it."""

import ctypes
import gc
from pathlib import Path

STATUS = Path("/proc/self/status")


def megabytes(name):
    """VmRSS, what is resident now; VmHWM, the most that was since `forget`."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # what other tests freed would be used again first, and nothing would be seen to grow
    return (
        next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name))
        / 2**10
    )


def peak(do):
    """Megabytes that were resident at most while it ran."""
    Path("/proc/self/clear_refs").write_text("5")
    do()
    return megabytes("VmHWM")


def growth(do, few, many):
    """Megabytes that are there after `many` and were not after `few`."""
    for k in range(few):
        do(k)
    before = megabytes("VmRSS")
    for k in range(few, many):
        do(k)
    return megabytes("VmRSS") - before
