"""Lock files, which only one process can hold at a time."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from cycada.core.errors import CycadaError
from cycada.core.files import READ_ONLY
from cycada.core.interrupt import Interrupted, asked_to_stop

POLL = 0.5
"""Seconds between two checks whether to stop waiting."""
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO, errno.EINVAL}
"""Error codes of file systems without locks, such as network file systems without a lock daemon."""


class StillLocked(CycadaError):  # noqa: N818 (it says what has happened)
    """Another process has not released the lock in time."""


@contextmanager
def locked(
    path: Path, waiting: Callable[[], None], patience: float = 0, limit: float | None = None
) -> Iterator[None]:
    """Hold a lock file during a `with` block, after waiting for any other process that holds it.

    A process that dies releases its lock. On a file system without locks, the existence of a file is the
    lock; in a place that cannot be written there is no lock, so that finished runs can be read.

    Args:
        path: The lock file.
        waiting: Called once if another process holds the lock, to tell the user.
        patience: Seconds to wait before `waiting` is called.
        limit: Seconds to wait in all; None waits until the other process ends.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came while waiting.
        StillLocked: The lock was not released within `limit`.
    """
    lock = _first_try(path, patience)
    if lock is not None and not lock.is_locked:
        waiting()
        until = None if limit is None else time.monotonic() + limit - patience
        while not lock.is_locked:
            if asked_to_stop():
                raise Interrupted(
                    "Stopped while another run was waited for. The same command continues from there."
                ) from None
            if until is not None and time.monotonic() > until:
                raise StillLocked(
                    f"{path} is still held by another process after {limit:.0f} s. End it if it hangs."
                )
            with suppress(Timeout):
                lock.acquire(timeout=POLL)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _first_try(path: Path, patience: float) -> BaseFileLock | None:
    """Return a lock that this file system supports, held if it is free; None in a read-only place."""
    for kind, place in ((FileLock, path), (SoftFileLock, path.with_name(path.name + ".held"))):
        lock = kind(place)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            return lock
        except OSError as error:
            if error.errno in READ_ONLY:  # finished runs can still be read; any write reports the problem
                return None
            if error.errno in NO_LOCKS and kind is FileLock:
                continue
            raise
        return lock
    raise AssertionError("a soft lock needs no lock of the file system")
