"""Checkpoints that are whole or not there, and that know when they are damaged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cycada.errors import CycadaError

KEEP = 2


def save(folder: Path, state: dict[str, Any]) -> Path:
    """Write `checkpoint-STEP-DIGEST.pt` at once or not at all; the two newest stay.

    The digest in the name is of the file's bytes, so that damage shows. `state` holds tensors and plain python values.
    """
    temporary = folder / f".checkpoint-{os.getpid()}.tmp"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    path = folder / f"checkpoint-{state['step']:08d}-{_digest(temporary)}.pt"
    temporary.replace(path)
    for old in checkpoints(folder)[:-KEEP]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("checkpoint-*.pt"))


def load(path: Path) -> dict[str, Any]:
    """Raises CycadaError that names a damaged file. Loads with weights_only: no code in the file is run."""
    if _digest(path) != path.stem.rsplit("-", 1)[-1]:
        raise CycadaError(f"{path}: the checkpoint is damaged (its bytes do not match the digest in its name).")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CycadaError(f"{path}: the checkpoint cannot be read ({error}).") from error
    return state


def load_latest(folder: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest sound state, None where there is no checkpoint. `warn` is told of every damaged one.

    Raises CycadaError where there are checkpoints and all are damaged.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            return load(path)
        except CycadaError as error:
            warn(f"{error} Trying the one before.")
    if found:
        raise CycadaError(f"{folder}: every checkpoint of this run is damaged. Delete the folder to train the stage anew.")
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=6)).hexdigest()
