"""Values that take long to compute, kept under results/cache and found again by a digest of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from cycada.core import files

Value = TypeVar("Value")


class Cache:
    """A folder of arrays and texts; a cache without a folder computes everything anew.

    Args:
        folder: Where they are kept; any file in it may be deleted at any time.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def get(self, kind: str, inputs: Sequence[object], compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array that `compute` returns for these inputs, from a file where there is one.

        A place that cannot be written to costs the time of computing it again, and nothing else.

        Args:
            kind: What is computed and by which version of what, a part of the file's name.
            inputs: All that the result depends on: arrays, texts and numbers, also in tuples, lists and
                mappings.
            compute: A function that is deterministic in its inputs.
        """

        def write(path: Path, value: np.ndarray) -> None:
            with path.open("wb") as file:
                np.save(file, value, allow_pickle=False)

        def read(path: Path) -> np.ndarray:
            return np.asarray(np.load(path, allow_pickle=False))

        return self._find(f"{kind}-{_digest(inputs)}.npy", read, write, compute)

    def get_text(self, kind: str, inputs: Sequence[object], compute: Callable[[], str], ending: str) -> str:
        """Return the text that `compute` returns for these inputs, as `get` does with arrays.

        Args:
            kind: As in `get`.
            inputs: As in `get`.
            compute: As in `get`.
            ending: The ending of the file's name.
        """

        def write(path: Path, value: str) -> None:
            path.write_bytes(f"{value}\n".encode())

        def read(path: Path) -> str:
            value = path.read_bytes().decode()
            if not value.endswith("\n"):
                raise ValueError("its end is missing")
            return value[:-1]

        return self._find(f"{kind}-{_digest(inputs)}{ending}", read, write, compute)

    def _find(
        self,
        name: str,
        read: Callable[[Path], Value],
        write: Callable[[Path, Value], None],
        compute: Callable[[], Value],
    ) -> Value:
        if self._folder is None:
            return compute()
        path = self._folder / name
        with suppress(OSError, ValueError, EOFError):  # no such file, or a damaged one
            return read(path)
        value = compute()
        with suppress(OSError):
            files.prepare_folder(self._folder)
            with files.write_atomically(path) as temporary:
                write(temporary, value)
        return value


NO_CACHE = Cache()
"""The cache that keeps nothing."""


def _digest(inputs: Sequence[object]) -> str:
    """Return a hash of the types, the shapes and the values of inputs."""
    return files.bytes_digest(b"".join(map(_as_bytes, inputs)))


def _as_bytes(value: object) -> bytes:
    """Return bytes that are equal for equal values alone."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str} {value.shape}\n".encode() + np.ascontiguousarray(value).tobytes()
    if isinstance(value, dict):
        value = tuple(value.items())
    if isinstance(value, (tuple, list)):
        return f"{len(value)} items\n".encode() + b"".join(map(_as_bytes, value))
    return f"{type(value).__name__} {value!r}\n".encode()
