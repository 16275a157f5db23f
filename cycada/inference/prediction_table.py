"""A CSV file with a row for each picture, which an interrupted command continues."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cycada.core.errors import CycadaError
from cycada.core.files import write_atomically
from cycada.render.escape import csv_cell


def _open(path: Path, mode: str = "r") -> IO[str]:
    """Open a CSV file as text; names of pictures that are no UTF-8 keep their bytes."""
    # newline="" would end a line at a carriage return, too, which a name may have
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="\n")


class _Lines:
    """A file for `csv.writer`, whose lines end with a line feed alone.

    The writer itself ends them with both characters, since it puts only those into quotes that end its lines.
    """

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def write(self, line: str) -> None:
        """Write a row."""
        self.file.write(line.removesuffix("\r\n") + "\n")


def _parsed(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the rows of a CSV file, without those that are none, such as what a power failure left."""
    reader = csv.reader(lines)
    while True:
        try:
            yield next(reader)
        except csv.Error:
            continue
        except StopIteration:
            return


class PredictionTable:
    """A CSV file that grows row by row. The first column is the name of a picture.

    Args:
        path: The file.
        head: The heads of its columns.
    """

    def __init__(self, path: Path, head: Sequence[str]) -> None:
        self.path, self.head = path, [str(csv_cell(cell)) for cell in head]

    def rows(self) -> Iterator[list[str]]:
        """Yield the complete rows after the head, with the names of pictures as they were given.

        Raises:
            CycadaError: The file has another head.
        """
        if not self.path.exists():
            return
        with _open(self.path) as file:
            lines = _parsed(line for line in file if line.endswith("\n"))  # the last one may be cut off
            head = next(lines, None)
            if head is not None and head != self.head:
                raise CycadaError(
                    f"{self.path}: found the columns {', '.join(head[:8])}, expected "
                    f"{', '.join(self.head[:8])}. "
                    "Choose another folder, or remove it."
                )
            for row in lines:
                if len(row) == len(self.head):
                    yield [row[0].removeprefix("./") if row[0][2:3] in _FORMULA else row[0], *row[1:]]

    def keep(self, names: set[str]) -> None:
        """Rewrite the file with the rows of some pictures alone, each once, or create it."""
        left = set(names)
        with write_atomically(self.path) as temporary, _open(temporary, "w") as file:
            writer = csv.writer(_Lines(file))
            writer.writerow(self.head)
            for row in self.rows():
                if row[0] in left:
                    left.remove(row[0])
                    writer.writerow([_name(row[0]), *row[1:]])

    def __enter__(self) -> Self:
        """Open the file for `append`."""
        self._file = _open(self.path, "a")
        self._writer = csv.writer(_Lines(self._file))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def append(self, rows: Sequence[Sequence[object]]) -> None:
        """Append rows, so that they outlive this process."""
        self._writer.writerows([_name(str(row[0])), *map(csv_cell, row[1:])] for row in rows)
        self._file.flush()


_FORMULA = ("=", "+", "-", "@")


def _name(name: str) -> str:
    """Return a path that no spreadsheet takes for a formula, and that still leads to the picture."""
    return f"./{name}" if name.startswith(_FORMULA) else name
