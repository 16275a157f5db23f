"""Small image files, whole and broken, and what a reader says of them."""

from pathlib import Path

import numpy as np
import pytest

from cycada.core.errors import CycadaError

NOWHERE = Path("nowhere")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def refused(*words):
    """The block has to end with a CycadaError that says all these words."""
    return pytest.raises(CycadaError, match="".join(f"(?=[\\s\\S]*{word})" for word in words))


def broken(kind, whole):
    damaged = bytearray(whole)
    damaged[60:70] = b"0" * 10
    return {"text": b"hello", "empty": b"", "cut": whole[: len(whole) // 2], "damaged": bytes(damaged)}[kind]
