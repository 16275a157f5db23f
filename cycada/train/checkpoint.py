"""Checkpoints that are whole or not there, and that know when they are damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cycada.core import files
from cycada.core.errors import CycadaError

KEEP = 2


def save(folder: Path, state: dict[str, Any]) -> Path:
    """Write `checkpoint-STEP-DIGEST.pt` at once or not at all; the two newest stay.

    The digest in the name is of the file's bytes, so that damage shows. `state` holds tensors and plain python values. The old ones
    go when the new one has reached the disk.
    """
    with files.temporary(folder / "checkpoint") as part:
        with part.open("wb") as file:
            _save(state, _Heard(file))
        files.sync(part)
        path = folder / f"checkpoint-{state['step']:08d}-{files.file_digest(part, size=6)}.pt"
        part.replace(path)
    files.sync(folder)
    for old in checkpoints(folder)[:-KEEP]:
        old.unlink()
    return path


class _Heard:
    """A file that remembers what the operating system said: torch answers a full disk with a sentence about its own source."""

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


def _save(state: dict[str, Any], heard: _Heard) -> None:
    try:
        torch.save(state, heard)  # type: ignore[arg-type]
        heard.flush()
    except RuntimeError:
        if heard.error:
            raise heard.error from None
        raise


def checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("checkpoint-*.pt"))


def step_of(path: Path) -> int:
    """Return the step that a checkpoint's name says."""
    return int(path.name.split("-")[1])


def load(path: Path) -> dict[str, Any]:
    """Raises CycadaError that names a damaged file. Loads with weights_only: no code in the file is run."""
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
    """The newest sound state, None where there is no checkpoint. `warn` is told of every one that is damaged.

    check: raises CycadaError for a state that what trains cannot go on from. Raises CycadaError where no checkpoint is sound.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            state = load(path)
            try:
                check(state)
            except CycadaError as error:
                raise CycadaError(f"{path}: the checkpoint is not one of this stage ({error}).") from None
            return state
        except CycadaError as error:
            warn(f"{error} Trying the one before.")
    if found:
        raise CycadaError(
            f"{folder}: every checkpoint of this run is damaged. Delete the folder to train the stage anew."
        )
    return None
