"""The files by which an exported network is known."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = "model.safetensors"
EARLIER = "generator.safetensors"
"""The weights file of format 1, which held a generator; it is still read."""


def is_export(path: Path) -> bool:
    """Return whether a path is a folder or a file of `cycada export`, and not a run."""
    return path.suffix == ".safetensors" or weights_file(path).exists()


def weights_file(folder: Path) -> Path:
    """Return the file of the weights in an export's folder, that of an earlier version where it is there."""
    earlier = folder / EARLIER
    return earlier if earlier.exists() and not (folder / WEIGHTS).exists() else folder / WEIGHTS
