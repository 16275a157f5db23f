"""The setting `precision` of a stage, and what `auto` stands for on the machine at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from cycada.core.errors import shown


def _known(value: object) -> object:
    if value not in ("fp32", "bf16"):
        raise ValueError(f"found {shown(value)}, expected 'fp32', 'bf16' or 'auto'.")
    return value


Precision = Annotated[
    Literal["fp32", "bf16"],
    BeforeValidator(_known),
    WithJsonSchema({"type": "string", "enum": ["fp32", "bf16", "auto"]}),
]
"""Precision of the forward passes. A config may also say `auto`, which `replace_auto` replaces."""


def replace_auto(stage: Mapping[str, Any], device: object) -> Mapping[str, Any]:
    """Return the keys of a stage with `precision: auto` replaced by the precision that is fast here.

    It is replaced when a config is read, so that run folders and ids hold what was computed.

    Args:
        stage: The keys of a stage, with its defaults.
        device: The experiment's `device`.
    """
    if stage.get("precision") != "auto":
        return stage
    return {**stage, "precision": "bf16" if _computes_bf16(str(device)) else "fp32"}


def _computes_bf16(device: str) -> bool:
    """Return whether a device has instructions for bf16; GPUs have, those of Macs are not tried."""
    import torch

    from cycada.core.cpu import computes_bf16

    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        return True
    return device != "mps" and computes_bf16()
