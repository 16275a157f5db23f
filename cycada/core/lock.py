"""One process at a time."""

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
"""Seconds between two looks at whether to stop."""
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO, errno.EINVAL}
"""What file systems answer that have no locks, such as network file systems without a lock daemon."""


class StillLocked(CycadaError):
    """Another process has not given the lock back in time."""


@contextmanager
def locked(
    path: Path, waiting: Callable[[], None], patience: float = 0, limit: float | None = None
) -> Iterator[None]:
    """Inside, no other process holds the lock file. `waiting` is called once where another one does; then it is waited for.

    A process that dies gives its lock back. Where the file system has no locks, the lock is a file that is there or is not;
    where nothing can be written at all, there is no lock, so that finished runs can be read.

    Args:
        path: The lock file.
        waiting: Says that another process is waited for.
        patience: Seconds to wait before that is said.
        limit: Seconds to wait at all; None waits until the other process ends.

    Raises:
        Interrupted: Ctrl-C came while it waited.
        StillLocked: The limit is over.
    """
    lock = _first_try(path, patience)
    if lock is not None and not lock.is_locked:
        waiting()
        until = None if limit is None else time.monotonic() + limit - patience
        while not lock.is_locked:
            if asked_to_stop():
                raise Interrupted(
                    "Stopped while another run was waited for. The same command goes on from there."
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
    """The kind of lock that this file system has, held if it is free. None: nothing can be written here."""
    for kind, place in ((FileLock, path), (SoftFileLock, path.with_name(path.name + ".held"))):
        lock = kind(place)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            return lock
        except OSError as error:
            if (
                error.errno in READ_ONLY
            ):  # what is finished can be read, and the first write says what is wrong
                return None
            if error.errno in NO_LOCKS and kind is FileLock:
                continue
            raise
        return lock
    raise AssertionError("a soft lock needs no lock of the file system")
