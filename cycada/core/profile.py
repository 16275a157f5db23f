"""Spans of code whose seconds a profile counts; each second counts for the innermost span alone.

A span costs a function call where nothing is profiled, and it changes no result in either case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ContextDecorator, contextmanager
from typing import Any

OTHER = "other"
"""Name of the part in which no span is open."""


class Profile:
    """Seconds by part, from the moment at which the profile is made.

    Args:
        wait: Function that waits until the device has computed all that it was given; otherwise the seconds
            of a GPU would count for the part that happens to wait for it.

    Attributes:
        seconds: Part to its seconds.
        times: Part to how many times it was entered.
    """

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        self.seconds: dict[str, float] = {OTHER: 0.0}
        self.times: dict[str, int] = {OTHER: 1}
        self._wait = wait
        self._open = [OTHER]
        self._since = time.perf_counter()

    def begin(self, part: str) -> None:
        """Count for a part from here on."""
        self.count()
        self.times[part] = self.times.get(part, 0) + 1
        self._open.append(part)

    def end(self) -> None:
        """Count for the part around the innermost one from here on."""
        self.count()
        self._open.pop()

    def count(self) -> None:
        """Count the seconds until now for the innermost part."""
        self._wait()
        now, part = time.perf_counter(), self._open[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now

    @property
    def total(self) -> float:
        """All seconds that were counted."""
        return sum(self.seconds.values())

    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        """Return every part's `seconds` and `times`, the longest part first and `other` last."""
        names = sorted(self.seconds, key=lambda part: (part == OTHER, -self.seconds[part]))
        return {name: {"seconds": self.seconds[name], "times": self.times[name]} for name in names}


_recorded: list[Profile] = []
"""The profiles that are being recorded; spans count for the last one."""


@contextmanager
def recording(profile: Profile) -> Iterator[None]:
    """Let all spans within a `with` block count for a profile."""
    _recorded.append(profile)
    try:
        yield
    finally:
        profile.count()
        _recorded.pop()


class span(ContextDecorator):  # noqa: N801 (used like a function: `with span("data")`, `@span("data")`)
    """A part of the profile that is being recorded, for a `with` block or for a function.

    Args:
        part: Name of the part.
    """

    def __init__(self, part: str) -> None:
        self._part = part

    def __enter__(self) -> None:
        if _recorded:
            _recorded[-1].begin(self._part)

    def __exit__(self, *_: object) -> None:
        if _recorded:
            _recorded[-1].end()
