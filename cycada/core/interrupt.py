"""Handling of Ctrl-C and SIGTERM, after which a run can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cycada.core.errors import CycadaError


class Interrupted(CycadaError):  # noqa: N818 (it says what has happened)
    """Ctrl-C or SIGTERM has stopped the command; the same command resumes it."""

    exit_code = 130


_listening: list[threading.Event] = []
"""The event of the outermost `stop_on_signal`, if there is one."""


def asked_to_stop() -> bool:
    """Return whether a signal has come inside a `stop_on_signal` block; for code that waits in a loop."""
    return any(event.is_set() for event in _listening)


@contextmanager
def stop_on_signal(enabled: bool) -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set within a `with` block; a second signal interrupts at once.

    The training loop looks at the event after every step. A nested block yields the event of the outer
    one: stopping a stage stops its run and its sweep too, and a signal during a stage's last evaluation
    is not lost.

    Args:
        enabled: Whether to handle signals at all. It must be False for several processes, which would stop
            at different steps and wait for each other for ever.
    """
    if _listening:
        yield _listening[0]
        return
    stopped = threading.Event()
    if not enabled or threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def handle(number: int, frame: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    _listening.append(stopped)
    try:
        yield stopped
    finally:
        _listening.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
