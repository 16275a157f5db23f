"""The one exception a user sees: a sentence, never a traceback."""

from __future__ import annotations

import difflib
import errno
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from cycada.core.secrets import redacted

SHOWN = 200
"""So many characters of what was found are shown at most."""


class CycadaError(Exception):
    """Says what was found, what was expected and what to do. The command line ends with `exit_code`. Passwords are taken out."""

    exit_code = 2

    def __init__(self, message: object = "") -> None:
        super().__init__(redacted(str(message)))


class Absent(CycadaError):
    """Says that data are not where they were looked for: elsewhere they may be."""


class _Short(reprlib.Repr):
    """Looks at no more than it shows, so that a value of any size is quick to show."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple, self.maxset = 4, 8, 8, 8, 8
        self.maxstring = self.maxother = self.maxlong = 120


def shown(value: object) -> str:
    """A value as a message shows it: its repr, cut in the middle where it is long."""
    text = _Short().repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 20]}...{text[-15:]}"


def list_some(names: Sequence[str], most: int = 10) -> str:
    """The first of some names, and how many more there are: however many they are, a message stays short."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def nearest(name: object, names: Iterable[str]) -> str:
    """The hint after an unknown name: the nearest known one, then all of them."""
    known = sorted(names)
    close = difflib.get_close_matches(str(name)[:SHOWN], known, n=1, cutoff=0.5)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    return f"{guess} Known: {list_some(known, 60) if known else 'none'}."


@contextmanager
def memory_named(where: str = "") -> Iterator[None]:
    """Inside, running out of memory becomes a CycadaError that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        said = any(words in text for words in ("out of memory", "not enough memory", "t allocate memory"))
        if not (said or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"):
            raise
        found = " ".join(text.split())[:200]
        raise CycadaError(
            f"{where}{': ' if where else ''}the memory is full{f' ({found})' if found else ''}. Lower batch, crop or data.size, use"
            f" smaller networks, or read scenes from disk (data.hold: 0). The same command goes on from the last checkpoint."
        ) from error


REMEDIES = {
    errno.ENOSPC: "Make room on the disk; the same command goes on from the last checkpoint.",
    errno.EDQUOT: "Make room within your quota; the same command goes on from the last checkpoint.",
    errno.EFBIG: "Files may not be as large there. Choose another place; the same command goes on from the last checkpoint.",
    errno.EROFS: "The place can only be read. Choose another one, such as results=FOLDER or --out.",
    errno.EACCES: "Give yourself the right to it, or choose another place, such as results=FOLDER or --out.",
    errno.EPERM: "Give yourself the right to it, or choose another place, such as results=FOLDER or --out.",
    errno.ENOTDIR: "A file stands where a folder is expected. Choose another place, or move the file away.",
    errno.EEXIST: "A file stands where a folder is expected. Choose another place, or move the file away.",
    errno.EISDIR: "A folder stands where a file is expected. Choose another place, or move the folder away.",
    errno.ENOENT: "Choose a place that exists and can be written.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EMFILE: "Too many files are open. Raise the limit (ulimit -n), or lower data.workers.",
}
"""What to do about an error of the operating system."""


def os_message(error: OSError) -> str:
    """Say an error of the operating system in a sentence: the path, what it is, and what to do."""
    path = error.filename2 or error.filename
    what = error.strerror or " ".join(str(error).split()) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0, "The same command goes on once this is mended.")
    return redacted(f"{path}: {what}. {remedy}" if path else f"{what}. {remedy}")
