"""The exception for mistakes of a user, which are shown as a sentence and not as a traceback."""

from __future__ import annotations

import difflib
import errno
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cycada.core.secrets import redacted

SHOWN = 200
"""Most characters of a value that an error message shows."""


class CycadaError(Exception):
    """A mistake of the user, or a problem of the machine, whose message says what to do.

    The message says what was found, what was expected, and how to mend it; passwords are removed from it.

    Attributes:
        exit_code: The exit code of the command line after this error.
    """

    exit_code = 2

    def __init__(self, message: object = "") -> None:
        super().__init__(redacted(str(message)))


class Absent(CycadaError):  # noqa: N818 (it says what has happened)
    """Data are missing on this machine; the config may still be sound on another one."""


def foreign_file(path: Path, command: str) -> CycadaError:
    """Return the error where a command would write over a file that it did not write.

    Args:
        path: The file.
        command: The command.
    """
    return CycadaError(
        f"{path}: there is a file of this name, and nothing in it says that {command} wrote it. Choose "
        "another name, or remove it."
    )


class _Short(reprlib.Repr):
    """Short `repr` that reads no more of a value than it shows, so that it is quick for huge values too."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple, self.maxset = 4, 8, 8, 8, 8
        self.maxstring = self.maxother = self.maxlong = 120


def shown(value: object) -> str:
    """Return the `repr` of a value for an error message, with the middle cut out where it is long."""
    text = _Short().repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 20]}...{text[-15:]}"


def list_some(names: Sequence[str], most: int = 10) -> str:
    """Return the first `most` names, joined by commas, and how many more there are.

    Names that hold a comma themselves are joined by semicolons.
    """
    mark = "; " if any("," in name for name in names[:most]) else ", "
    return mark.join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def nearest(name: object, names: Iterable[str]) -> str:
    """Return the hint for an unknown name: the most similar known name, then the list of known ones."""
    known = sorted(names)
    close = difflib.get_close_matches(str(name)[:SHOWN], known, n=1, cutoff=0.5)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    return f"{guess} Known: {list_some(known, 60) if known else 'none'}."


@contextmanager
def explain_out_of_memory(where: str = "") -> Iterator[None]:
    """Turn running out of memory, within a `with` block, into a CycadaError that says what to lower.

    Args:
        where: What the message begins with, such as `stages.NAME`.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        named = any(words in text for words in ("out of memory", "not enough memory", "t allocate memory"))
        if not (named or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"):
            raise
        reason = " ".join(text.split())[:200]
        raise CycadaError(
            f"{where}{': ' if where else ''}the memory is full{f' ({reason})' if reason else ''}. Lower "
            f"batch, crop or data.size, use smaller networks, or read images from disk (data.hold: 0). The "
            f"same command continues from the last checkpoint."
        ) from error


REMEDIES = {
    errno.ENOSPC: "Free space on the disk; then the same command continues.",
    errno.EDQUOT: "Free space within your quota; then the same command continues.",
    errno.EFBIG: "Files of this size are not allowed there. Raise the limit (ulimit -f); then the same "
    "command continues. Or choose another place.",
    errno.EROFS: "The place is read-only. Choose another one, such as results=FOLDER or --out.",
    errno.EACCES: "Change its permissions, or choose another place, such as results=FOLDER or --out.",
    errno.EPERM: "Change its permissions, or choose another place, such as results=FOLDER or --out.",
    errno.ENOTDIR: "There is a file where a folder is expected. Choose another place, or move it away.",
    errno.EEXIST: "There is a file where a folder is expected. Choose another place, or move it away.",
    errno.EISDIR: "There is a folder where a file is expected. Choose another place, or move it away.",
    errno.ENOENT: "Choose a place that exists and can be written.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EMFILE: "Too many files are open. Raise the limit (ulimit -n), or lower data.workers.",
}
"""Error code of the operating system to what the user can do about it."""


def os_message(error: OSError) -> str:
    """Return an error of the operating system in words: the path, the reason, and what to do."""
    path = error.filename2 or error.filename
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0, "The same command continues once this is fixed.")
    return redacted(f"{path}: {reason}. {remedy}" if path else f"{reason}. {remedy}")
