"""Weights from a local file, which must fit completely: nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cycada.core.errors import CycadaError

WHERE = "networks.f.weights"
"""The key of a config that error messages name."""


def read_weights(path: str) -> dict[str, Tensor]:
    """Read a state dict from a file of torch or safetensors.

    Args:
        path: Path of the file; .safetensors by its suffix, anything else as torch's format, without running
            code.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        CycadaError: There is no such file, it cannot be read, or it holds no state dict.
    """
    if not Path(path).is_file():
        raise CycadaError(f"{WHERE}: there is no file {path}.")
    try:
        state_dict = (
            load_file(path)
            if path.endswith(".safetensors")
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:
        raise CycadaError(f"{WHERE}: cannot read {path} ({' '.join(str(error).split())[:300]}).") from None
    if not isinstance(state_dict, Mapping) or not all(
        isinstance(value, Tensor) for value in state_dict.values()
    ):
        raise CycadaError(f"{WHERE}: {path} does not hold a state dict (names -> tensors).")
    return dict(state_dict)


def fill(net: nn.Module, weights: Mapping[str, Tensor], path: str) -> None:
    """Set every tensor of `net` from `weights`, of which none may be left over.

    Files older than torch 0.4.1 do not hold batch normalisation's number of batches, which nothing here
    reads: it may be missing.

    Args:
        net: The network to fill.
        weights: The tensors by name.
        path: Where the weights come from, for error messages.

    Raises:
        CycadaError: A tensor is missing, left over, or has another shape; the message names it.
    """
    try:
        mismatch = net.load_state_dict(dict(weights), strict=False)
    except RuntimeError as error:  # a tensor has another shape
        raise CycadaError(f"{WHERE}: {path} does not fit. {' '.join(str(error).split())[:500]}") from None
    missing = [key for key in mismatch.missing_keys if not key.endswith("num_batches_tracked")]
    for problem, keys in (("lacks", missing), ("has unknown entries:", mismatch.unexpected_keys)):
        if keys:
            raise CycadaError(
                f"{WHERE}: {path} {problem} {', '.join(keys[:5])}{' ...' if len(keys) > 5 else ''}."
            )
