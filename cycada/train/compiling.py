"""What torch.compile needs on a machine: a folder for what it has compiled, and a compiler."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn


def keep_compiled(folder: Path) -> None:
    """Keep compiled code in a folder, so that the next run does not compile it again.

    Where the variable TORCHINDUCTOR_CACHE_DIR is set, it is kept there. To be called before anything is
    compiled.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder.absolute()))


def compile_network(net: nn.Module) -> None:
    """Compile a network in place, at its first batch.

    The gradient norm of each loss, which some reports hold, goes through a network more than once; compiled
    code would by default give away what it needs for that after the first time.
    """
    from torch._functorch import config  # imports PyTorch's compiler

    config.donated_buffer = False
    net.compile()


def find_obstacle(device: torch.device) -> str | None:
    """Return why torch.compile does not work on a device, or None where it does.

    It compiles a small function to see, which takes some seconds the first time.
    """
    try:
        torch.compile(torch.nn.functional.softplus)(torch.zeros(8, device=device))
    except Exception as error:  # whatever compilers and drivers raise
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None
