"""Weights of others from a local file, all of them or an error: nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cycada.core.errors import CycadaError

WHERE = "networks.f.weights"


def read_weights(path: str) -> dict[str, Tensor]:
    """The state dict in a file of torch or safetensors. Raises CycadaError."""
    if not Path(path).is_file():
        raise CycadaError(f"{WHERE}: there is no file {path}.")
    try:
        found = (
            load_file(path)
            if path.endswith(".safetensors")
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:
        raise CycadaError(f"{WHERE}: cannot read {path} ({' '.join(str(error).split())[:300]}).") from None
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CycadaError(f"{WHERE}: {path} does not hold a state dict (names -> tensors).")
    return dict(found)


def fill(net: nn.Module, weights: Mapping[str, Tensor], path: str) -> None:
    """Every tensor of `net` from `weights`, and none left over. Raises CycadaError that names what does not fit.

    Files older than torch 0.4.1 do not count batch norm's batches; nothing here reads that count.
    """
    try:
        found = net.load_state_dict(dict(weights), strict=False)
    except RuntimeError as error:  # shapes
        raise CycadaError(f"{WHERE}: {path} does not fit. {' '.join(str(error).split())[:500]}") from None
    missing = [key for key in found.missing_keys if not key.endswith("num_batches_tracked")]
    for problem, keys in (("lacks", missing), ("has, without a place for it,", found.unexpected_keys)):
        if keys:
            raise CycadaError(
                f"{WHERE}: {path} {problem} {', '.join(keys[:5])}{' ...' if len(keys) > 5 else ''}."
            )
