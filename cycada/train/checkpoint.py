"""Checkpoints, which are written atomically and whose damage is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cycada.core import files
from cycada.core.errors import CycadaError

KEEP = 2
"""Number of checkpoints that a run keeps."""


def save(folder: Path, state: dict[str, Any]) -> Path:
    """Write a checkpoint atomically, remove all but the newest `KEEP`, and return its path.

    Its name is `checkpoint-STEP-DIGEST.pt`, with a hash of the file's bytes, by which damage is noticed. Old
    checkpoints are removed once the new one has reached the disk.

    Args:
        folder: Folder of the run.
        state: Tensors and plain Python values, with the number of steps done as `step`.

    Raises:
        OSError: The file cannot be written.
    """
    with files.temporary(folder / "checkpoint") as temporary:
        with temporary.open("wb") as file:
            _save(state, _ErrorKeeper(file))
        files.sync(temporary)
        path = folder / f"checkpoint-{state['step']:08d}-{files.file_digest(temporary, size=6)}.pt"
        temporary.replace(path)
    files.sync(folder)
    for old in checkpoints(folder)[:-KEEP]:
        old.unlink()
    return path


class _ErrorKeeper:
    """File that keeps the operating system's error, which torch.save replaces with one about its source."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return int(self.file.write(content))
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _save(state: dict[str, Any], file: _ErrorKeeper) -> None:
    """Save a state, and raise the operating system's own error where there is one."""
    try:
        torch.save(state, file)  # type: ignore[arg-type] # it asks for no more than write and flush
        file.flush()
    except RuntimeError:
        if file.error:
            raise file.error from None
        raise


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    return sorted(folder.glob("checkpoint-*.pt"))


def step_of(path: Path) -> int:
    """Return the number of steps in a checkpoint's name."""
    return int(path.name.split("-")[1])


def load(path: Path) -> dict[str, Any]:
    """Return the state in a checkpoint; no code in the file is run (`weights_only`).

    Raises:
        CycadaError: The file is damaged, cannot be read, or holds another step than its name says.
    """
    if files.file_digest(path, size=6) != path.stem.rsplit("-", 1)[-1]:
        raise CycadaError(
            f"{path}: the checkpoint is damaged (its bytes do not match the digest in its name)."
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CycadaError(f"{path}: the checkpoint cannot be read ({error}).") from error
    if not isinstance(state, dict) or f"checkpoint-{state.get('step'):>08}" != path.stem.rsplit("-", 1)[0]:
        found = f"step {state.get('step')!r}" if isinstance(state, dict) else f"a {type(state).__name__}"
        raise CycadaError(f"{path}: the checkpoint holds {found}, which is not what its name says.")
    return state


def load_latest(
    folder: Path, warn: Callable[[str], None], check: Callable[[dict[str, Any]], None] = lambda state: None
) -> dict[str, Any] | None:
    """Return the state in the newest sound checkpoint of a folder, or None where there is no checkpoint.

    Args:
        folder: Folder of the run.
        warn: Receives a message for each damaged checkpoint.
        check: Raises CycadaError for a state from which the training cannot be resumed.

    Raises:
        CycadaError: There are checkpoints, but none of them is sound.
    """
    paths = checkpoints(folder)
    for path in reversed(paths):
        try:
            state = load(path)
            try:
                check(state)
            except CycadaError as error:
                raise CycadaError(f"{path}: the checkpoint is not one of this stage ({error}).") from None
            return state
        except CycadaError as error:
            warn(f"{error} Trying the one before.")
    if paths:
        raise CycadaError(
            f"{folder}: every checkpoint of this run is damaged. Delete the folder to train the stage anew."
        )
    return None
