"""How long a thread that waits for the other threads of a computation keeps its core busy."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

TURNS = "1000"
"""How often a waiting thread looks whether it may go on before it sleeps. GNU OpenMP itself looks 300,000
times, and beside another busy program the thread that is waited for then has no core. With 1,000 it has one,
and a quiet machine keeps most of its speed: see docs/results/speed.md."""


def wait_briefly(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let the threads of GNU OpenMP, which PyTorch uses on Linux, sleep soon where they have to wait.

    It has an effect on a process that has not imported torch yet, and on its children. Where the user has
    chosen how threads wait, by `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT`, nothing changes. Results do not change.

    Args:
        environment: The environment variables to change.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", TURNS)
