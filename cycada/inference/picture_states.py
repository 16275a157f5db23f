"""The state of every picture when it was predicted, so that another file of its name is not taken for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from cycada.core.files import file_state

State = list[int | str]
"""`file_state` of a picture, followed by the path of its mask where it has one."""


def state_of(file: Path) -> State | None:
    """Return the state of a picture; None where it is not there."""
    try:
        return [*file_state(file)]
    except OSError:
        return None


class PictureStates:
    """The states of pictures by name, in a file that grows by a line for each picture.

    Args:
        path: The file; where it is not there, no state is known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, State] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    name, state = json.loads(line)
                except ValueError:  # the last line may be cut off
                    continue
                self.known[name] = state

    def append(self, states: Sequence[tuple[str, State | None]]) -> None:
        """Note the states of pictures by their names."""
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(pair) + "\n" for pair in states)
