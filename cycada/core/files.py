"""Atomic writing of files, and removal of temporary files whose writer died.

Everything that the toolkit writes goes through this module: a file is either complete or not there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cycada.core.errors import os_message

READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
"""Error codes of the operating system where a place can be read but not written."""
BEGAN = time.time()
"""Start of this process: an older temporary file with its process id belongs to a dead process with the same
id."""
HOST = re.sub(r"\W", "_", platform.node())[:40]
"""Name of this machine in the names of temporary files."""
OURS = re.compile(r"\..+\.cycada-(?P<host>\w+)-(?P<pid>\d+)\.tmp", re.DOTALL)
"""Names of temporary files."""
EARLIER = re.compile(r"\..+[.-](?P<pid>\d+)\.tmp|\.weights\.tmp", re.DOTALL)
"""Names of temporary files of earlier versions. Other programs use such names too, so they are only removed
from folders in which everything is the toolkit's."""
LONGEST = 40
"""Characters of a file's name in that of its temporary file, which stays a valid name at four bytes each."""


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file in the folder of `path`, and remove the file after the `with` block.

    An OSError in the block names `path`, which the user knows, instead of the temporary file.
    """
    part = path.with_name(f".{path.name[:LONGEST]}.cycada-{HOST}-{os.getpid()}.tmp")
    try:
        yield part
    except OSError as error:
        if error.errno and error.filename in (None, part, str(part)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def write_atomically(path: Path, lasting: bool = False) -> Iterator[Path]:
    """Yield the path of a temporary file, which becomes `path` when the `with` block ends without an error.

    Args:
        path: The file to write.
        lasting: Whether to wait until the file would survive a power failure.
    """
    with temporary(path) as part:
        yield part
        if lasting:
            sync(part)
        part.replace(path)
    if lasting:
        sync(path.parent)


def shorten_name(name: str, most: int = 100) -> str:
    """Return `name`, cut to at most `most` bytes; a cut name ends with six characters of its hash."""
    if len(name.encode()) <= most:
        return name
    mark = bytes_digest(name.encode(), size=3)
    return f"{name.encode()[: most - 7].decode(errors='ignore')}_{mark}"


def write_text(path: Path, text: str, lasting: bool = False) -> None:
    """Write a text file atomically, in UTF-8 and with its line ends unchanged.

    Args:
        path: The file to write.
        text: Its content.
        lasting: See `write_atomically`.
    """
    write_bytes(path, text.encode(), lasting)


def write_bytes(path: Path, content: bytes, lasting: bool = False) -> None:
    """Write a file atomically; see `write_atomically` for `lasting`."""
    with write_atomically(path, lasting) as part:
        part.write_bytes(content)


def write_json(path: Path, value: Any, lasting: bool = False, indent: int | None = 1) -> None:
    """Write a JSON file atomically.

    Args:
        path: The file to write.
        value: What to write; NaN and infinity are refused, since JSON has neither.
        lasting: Whether to wait until the file would survive a power failure.
        indent: Spaces for each level; None writes a million numbers in a tenth of the time.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n", lasting)


@contextmanager
def warn_if_read_only(what: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Turn the error of writing to a read-only place, within a `with` block, into a warning.

    For files that are useful but not needed, such as a report's tables next to runs of somebody else.

    Args:
        what: What is written, as the warning begins.
        warn: Receives the warning.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        warn(f"{what} is not written: {os_message(error)}")


def sync(path: Path) -> None:
    """Wait until a file, or the list of files in a folder, has reached the disk.

    Some file systems cannot do this for folders, which is then ignored.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        if not path.is_dir():
            raise


def prepare_folder(folder: Path, alone: bool = False) -> Path:
    """Create a folder if it is missing, remove temporary files of dead processes from it, and return it.

    Args:
        folder: The folder.
        alone: Whether everything in the folder is the toolkit's and a lock on it is held, so that temporary
            files of other machines are removed as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(".*.tmp"):
        # A file that another process removed first, or that may not be removed, does no harm: it takes room.
        with suppress(OSError):
            if match := OURS.fullmatch(path.name):
                foreign = match["host"] != HOST
                orphaned = alone if foreign else not _alive(int(match["pid"]), path)
            else:
                match = EARLIER.fullmatch(path.name) if alone else None
                orphaned = match is not None and not (match["pid"] and _alive(int(match["pid"]), path))
            if orphaned:
                path.unlink()
    return folder


def _alive(pid: int, path: Path) -> bool:
    """Return whether the process that writes the temporary file `path` still runs on this machine."""
    if pid == os.getpid():
        return path.stat().st_mtime >= BEGAN
    if os.name != "posix":
        return True  # elsewhere, os.kill would end the process
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # OverflowError: the number is too large for a process id
        return False
    except OSError:  # the process is another user's
        return True
    return True


def changed_since(path: Path, when: float) -> bool:
    """Return whether a file was written, or put at its place, after a time in seconds since 1970.

    What is not there has not changed.
    """
    try:
        found = path.stat()
    except OSError:
        return False
    return max(found.st_mtime, found.st_ctime) > when


def file_state(path: Path) -> list[int]:
    """Return what tells a file from another one, and from itself before a change, without reading it.

    Args:
        path: The file; of a link, the file that it points to is meant.

    Returns:
        The inode, the size in bytes, and the times of the last change of content and of inode in ns.

    Raises:
        OSError: It is not there.
    """
    found = path.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def file_digest(path: Path, size: int = 16) -> str:
    """Return the BLAKE2b digest of a file's content as 2 * `size` hexadecimal characters."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=size)).hexdigest()


def bytes_digest(content: bytes, size: int = 16) -> str:
    """Return the BLAKE2b digest of `content` as 2 * `size` hexadecimal characters."""
    return hashlib.blake2b(content, digest_size=size).hexdigest()
