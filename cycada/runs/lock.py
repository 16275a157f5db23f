"""One process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cycada.runs.interrupt import Interrupted, asked_to_stop

POLL = 0.5
"""Seconds between two looks at whether to stop."""


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Inside, no other process holds the lock file. `waiting` is called once where another one does; then it is waited for.

    A process that dies gives its lock back. Raises Interrupted where Ctrl-C comes while it waits.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        while not lock.is_locked:
            if asked_to_stop():
                raise Interrupted("Stopped while another run was waited for. The same command goes on from there.") from None
            with suppress(Timeout):
                lock.acquire(timeout=POLL)
    try:
        yield
    finally:
        lock.release()
