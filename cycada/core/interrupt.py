"""Ctrl-C leaves a run that can go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cycada.core.errors import CycadaError


class Interrupted(CycadaError):
    """Ctrl-C or SIGTERM; the same command goes on."""

    exit_code = 130


_listening: list[threading.Event] = []
"""The event of the outermost `stop_on_signal`, if there is one."""


def asked_to_stop() -> bool:
    """Whether somebody listens and a signal has come: for what waits somewhere below."""
    return any(event.is_set() for event in _listening)


@contextmanager
def stop_on_signal(enabled: bool) -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event; the loop ends after the step that it is in. A second one ends at once.

    Inside another one it is the same event: who asks a stage to stop asks its run and its sweep too, and what comes while a stage
    is evaluated for the last time is not forgotten. Not for several processes: they would stop at different steps and wait for
    each other for ever.
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
