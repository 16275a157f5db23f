"""One process at a time."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from cycada.runs.interrupt import Interrupted, asked_to_stop

UNWRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
WITHOUT_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO})
LONGEST = 60
"""Seconds to wait for a lock that a dead process may have left, on a file system without real ones."""
POLL = 0.5
"""Seconds between two looks at whether to stop."""


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Inside, no other process holds the lock file. `waiting` is called once where another one does; then it is waited for.

    A process that dies gives its lock back. Raises Interrupted where Ctrl-C comes while it waits.
    """
    lock: BaseFileLock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        while not lock.is_locked:
            if asked_to_stop():
                raise Interrupted("Stopped while another run was waited for. The same command goes on from there.") from None
            with suppress(Timeout):
                lock.acquire(timeout=POLL)
    except OSError as error:
        if error.errno in UNWRITABLE:  # whatever is finished can still be read; whoever writes will be told
            yield
            return
        if error.errno not in WITHOUT_LOCKS:
            raise
        lock = SoftFileLock(f"{path}.soft")  # this file system has no locks: a file that is there stands for one
        lock.acquire(timeout=LONGEST)
    try:
        yield
    finally:
        lock.release()
