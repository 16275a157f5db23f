"""`cycada study serve`: the page on loopback, and a letter box for its answers. Nothing beyond this machine can reach it."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cycada.core.errors import CycadaError
from cycada.core.files import ready, write_text
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.study.records import Answers, content, parsed

LOOPBACK = "127.0.0.1"
LARGEST = 1_000_000
"""Bytes of an answers file; a session of 50 pairs takes about 12,000."""
MOST_THREADS = 64
SLOWEST = 1.0
"""Seconds that a request may take where others wait for its place."""


def serve_study(
    page: Path | str, out: Path | str = "answers", port: int = 8000, say: Callable[[str], None] = print
) -> None:
    """Serve a page until Ctrl-C, which raises Interrupted, and keep the answers that it sends, one file a session, in `out`.

    port: 0 takes a free one. say: is told the address, then each file. Raises CycadaError.
    """
    page, out = Path(page), Path(out)
    html = content(page)
    study = study_of(html, page)
    ready(out)
    with stop_on_signal(True) as stopped, _Server(html, study, out, port, say) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        say(
            f"http://{LOOPBACK}:{server.server_port}/ on this machine alone. Answers go to {out}. Ctrl-C stops."
        )
        try:
            while not stopped.is_set():
                time.sleep(0.1)
        finally:
            server.shutdown()
            thread.join()
    raise Interrupted(f"Stopped. {server.received} answers files were received, in {out}.")


def study_of(html: bytes, page: Path) -> str:
    """The id in a page that `build_study` wrote. Raises CycadaError."""
    found = re.search(rb'<meta name="cycada-study" content="([0-9a-f]{16})">', html[:5000])
    if not found:
        raise CycadaError(f"{page}: found no study in it, expected a page that `cycada study build` wrote.")
    return found[1].decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, html: bytes, study: str, out: Path, port: int, say: Callable[[str], None]) -> None:
        self.html, self.study, self.out, self.say = html, study, out, say
        self.received, self.writing = 0, threading.Lock()
        self.places, self.began = threading.BoundedSemaphore(MOST_THREADS), dict[Any, float]()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise CycadaError(
                f"Port {port} on {LOOPBACK}: {error.strerror}. Choose another one with --port, or 0 for a free one."
            ) from None

    def keep(self, text: bytes) -> tuple[HTTPStatus, str]:
        """Into a file of its own; one that is there is never written over."""
        try:
            answers = parsed(Answers, text, "answers")
        except CycadaError as error:
            return HTTPStatus.BAD_REQUEST, str(error)
        if answers.study != self.study:
            return (
                HTTPStatus.BAD_REQUEST,
                f"These are answers to the page {answers.study}, expected {self.study}.",
            )
        path = self.out / f"answers_{answers.participant}_{answers.session}.json"
        with self.writing:
            if path.exists():
                same = path.read_bytes() == text
                return (
                    (HTTPStatus.OK, "Here already.")
                    if same
                    else (HTTPStatus.CONFLICT, f"{path.name} is here with other answers.")
                )
            try:
                write_text(path, text.decode())
            except OSError as error:
                self.say(f"{path}: cannot be written ({error.strerror})")
                return HTTPStatus.INTERNAL_SERVER_ERROR, "The answers could not be written."
            self.received += 1
        self.say(f"received {path.name}")
        return HTTPStatus.CREATED, "Received."

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, of which there are so many at most; the others wait in the queue.

        Where nobody gives a place back, those who have had theirs for long are cut off: slow clients keep no quick one out.
        """
        while not self.places.acquire(timeout=SLOWEST):
            for slow in [r for r, began in self.began.copy().items() if time.monotonic() - began > SLOWEST]:
                with suppress(OSError):
                    slow.shutdown(socket.SHUT_RDWR)
        self.began[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self.began[request]
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "cycada-study", ""
    timeout = 30

    def do_GET(self) -> None:
        if not self._is_ours():
            return
        if self.path.partition("?")[0] != "/":
            self._answer(HTTPStatus.NOT_FOUND, "Here is one page: /")
            return
        self._answer(HTTPStatus.OK, self.server.html, "text/html; charset=utf-8")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._answer(HTTPStatus.LENGTH_REQUIRED, "Expected a Content-Length.")
            return
        text = self._body(int(length))  # before any answer: whoever is still sending would not hear it
        if not self._is_ours():
            return
        if self.path != "/answers":
            self._answer(HTTPStatus.NOT_FOUND, "Answers go to /answers")
        elif (
            self.headers.get_content_type() != "application/json"
        ):  # a form of another site could send anything else unasked
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Expected application/json.")
        elif int(length) > LARGEST:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Expected at most {LARGEST} bytes.")
        elif len(text) < int(length):
            self._answer(HTTPStatus.BAD_REQUEST, "CropBatch off.")
        else:
            self._answer(*self.server.keep(text))

    def _body(self, length: int) -> bytes:
        """What was sent; of what is too long nothing is kept, and after ten times that nothing more is heard."""
        if length <= LARGEST:
            return self.rfile.read(length)
        left = min(length, 10 * LARGEST)
        while left and (chunk := self.rfile.read(min(left, 1 << 16))):
            left -= len(chunk)
        return b""

    def _is_ours(self) -> bool:
        """Not another site's page, which a name that points to loopback or a request across sites could bring here."""
        port = self.server.server_port
        ours = {f"{name}:{port}" for name in (LOOPBACK, "localhost")} | (
            {LOOPBACK, "localhost"} if port == 80 else set()
        )
        origin = self.headers.get("Origin")
        if self.headers.get("Host") in ours and (origin is None or origin.removeprefix("http://") in ours):
            return True
        self._answer(HTTPStatus.FORBIDDEN, "For this machine alone.")
        return False

    def _answer(self, status: HTTPStatus, body: bytes | str, kind: str = "text/plain; charset=utf-8") -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(data))),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")  # nobody's page may show this one inside its own
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Only what is kept is worth a line."""
