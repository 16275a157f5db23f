"""Neural style transfer by optimising the pixels of a picture, without a generator (Gatys et al. 2016).

The names below are imported at their first use, so that the command line need not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cycada.style.layers import usual_layers
    from cycada.style.transfer import Weights, stylize

__all__ = ["Weights", "stylize", "usual_layers"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'cycada.style' has no attribute '{name}'")
    return getattr(import_module(f"cycada.style.{'layers' if name == 'usual_layers' else 'transfer'}"), name)
