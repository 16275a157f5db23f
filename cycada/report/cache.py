"""Values that take long to compute, kept under results/cache and found again by a digest of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from cycada.core import files


class Cache:
    """A folder of arrays; a cache without a folder computes everything anew.

    Args:
        folder: Where the arrays are kept; any file in it may be deleted at any time.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def get(self, kind: str, inputs: Sequence[np.ndarray], compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array that `compute` returns for these inputs, from a file where there is one.

        A place that cannot be written to costs the time of computing it again, and nothing else.

        Args:
            kind: What is computed and by which version of what, a part of the file's name.
            inputs: All arrays that the result depends on.
            compute: A function that is deterministic in its inputs.
        """
        if self._folder is None:
            return compute()
        path = self._folder / f"{kind}-{_digest(inputs)}.npy"
        with suppress(OSError, ValueError, EOFError):  # no such file, or a damaged one
            return np.asarray(np.load(path, allow_pickle=False))
        value = compute()
        with suppress(OSError):
            files.prepare_folder(self._folder)
            with files.write_atomically(path) as temporary, temporary.open("wb") as file:
                np.save(file, value, allow_pickle=False)
        return value


NO_CACHE = Cache()
"""The cache that keeps nothing."""


def _digest(arrays: Sequence[np.ndarray]) -> str:
    """Return a hash of the types, the shapes and the values of arrays."""
    content = b"".join(
        f"{array.dtype.str} {array.shape}\n".encode() + np.ascontiguousarray(array).tobytes()
        for array in arrays
    )
    return files.bytes_digest(content)
