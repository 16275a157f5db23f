"""Files that are written whole or not at all, and what is left of those whose writer died. All writing goes through here."""

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
"""What the operating system answers where one may read and not write."""
BEGAN = time.time()
"""When this process began: an older temporary file with its number is of a dead one that had the same."""
HOST = re.sub(r"\W", "_", platform.node())[:40]
OURS = re.compile(r"\..+\.cycada-(?P<host>\w+)-(?P<pid>\d+)\.tmp", re.DOTALL)
EARLIER = re.compile(r"\..+[.-](?P<pid>\d+)\.tmp|\.weights\.tmp", re.DOTALL)
"""What earlier versions called them, and others may too: only where everything is ours."""
LONGEST = 40
"""Characters of a file's name in that of its temporary file: with four bytes each they still are a name."""


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """The place of a temporary file in `path`'s folder, for a `with` block; what still lies there at its end is removed.

    An OSError names `path`, which somebody knows, instead of the temporary file.
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
def whole(path: Path, lasting: bool = False) -> Iterator[Path]:
    """The place of a temporary file to be written in a `with` block, at whose end it becomes `path`; after an error it is removed.

    lasting: wait until it would be there after a power failure too.
    """
    with temporary(path) as part:
        yield part
        if lasting:
            sync(part)
        part.replace(path)
    if lasting:
        sync(path.parent)


def shortened(name: str, most: int = 100) -> str:
    """A name that a file can have: one of more than `most` bytes is cut, and says with six characters of a hash which it was."""
    if len(name.encode()) <= most:
        return name
    mark = bytes_digest(name.encode(), size=3)
    return f"{name.encode()[: most - 7].decode(errors='ignore')}_{mark}"


def write_text(path: Path, text: str, lasting: bool = False) -> None:
    """UTF-8, line ends as they are."""
    write_bytes(path, text.encode(), lasting)


def write_bytes(path: Path, content: bytes, lasting: bool = False) -> None:
    with whole(path, lasting) as part:
        part.write_bytes(content)


def write_json(path: Path, value: Any, lasting: bool = False, indent: int | None = 1) -> None:
    """Indented, and without NaN, which is no JSON. indent: None takes a tenth of the time for a million numbers."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n", lasting)


@contextmanager
def unless_read_only(what: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Write in a `with` block what a reader of finished results can do without: where they can only be read, that is a warning."""
    try:
        yield
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        warn(f"{what} is not written: {os_message(error)}")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk. Some file systems know this of files alone."""
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        if not path.is_dir():
            raise


def ready(folder: Path, alone: bool = False) -> Path:
    """The folder, made where it is absent, without the temporary files of dead processes.

    alone: the folder is ours and a lock is held, so that no process of another machine can be writing here either.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):  # somebody else was quicker, or it may not be removed: it only takes room
            if found := OURS.fullmatch(path.name):
                foreign = found["host"] != HOST
                left = alone if foreign else not _alive(int(found["pid"]), path)
            else:
                found = EARLIER.fullmatch(path.name) if alone else None
                left = found is not None and not (found["pid"] and _alive(int(found["pid"]), path))
            if left:
                path.unlink()
    return folder


def _alive(pid: int, path: Path) -> bool:
    """Whether the process that writes this file still runs on this machine."""
    if pid == os.getpid():
        return path.stat().st_mtime >= BEGAN
    if os.name != "posix":
        return True  # there is no asking without harm
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no process has a number so large
        return False
    except OSError:  # another user's
        return True
    return True


def file_digest(path: Path, size: int = 16) -> str:
    """Return the BLAKE2b digest of a file's content as 2 * `size` hexadecimal characters."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=size)).hexdigest()


def bytes_digest(content: bytes, size: int = 16) -> str:
    """Return the BLAKE2b digest of `content` as 2 * `size` hexadecimal characters."""
    return hashlib.blake2b(content, digest_size=size).hexdigest()
