"""Serve the page of a study on this machine only, and receive its answers."""

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
from cycada.core.files import prepare_folder, write_text
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.study.records import Answers, parsed, read_bytes

LOOPBACK = "127.0.0.1"
LARGEST = 1_000_000
"""Largest size of a file of answers in bytes; a session of 50 pairs takes about 12,000."""
MOST_THREADS = 64
"""Largest number of requests that are answered at once."""
SLOWEST = 1.0
"""Seconds that a request may take while others wait for its place."""


def serve_study(
    page: Path | str, out: Path | str = "answers", port: int = 8000, say: Callable[[str], None] = print
) -> None:
    """Serve a page until Ctrl-C, and store the answers that it sends.

    Args:
        page: The page that `build_study` wrote.
        out: The folder for the answers, one file per session.
        port: The port; 0 takes a free one.
        say: Called with the address, and then with a line for each file that was received.

    Raises:
        CycadaError: The page is not one of a study, or the port is taken.
        Interrupted: Ctrl-C ended the server.
    """
    page, out = Path(page), Path(out)
    html = read_bytes(page)
    study = study_of(html, page)
    prepare_folder(out)
    with stop_on_signal(True) as stopped, _Server(html, study, out, port, say) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        say(
            f"http://{LOOPBACK}:{server.server_port}/ on this machine only. Answers go to {out}. Press "
            "Ctrl-C to stop."
        )
        try:
            while not stopped.is_set():
                time.sleep(0.1)
        finally:
            server.shutdown()
            thread.join()
    raise Interrupted(f"Stopped. {server.received} answers files were received; they are in {out}.")


def study_of(html: bytes, page: Path) -> str:
    """Return the id of the study in a page that `build_study` wrote.

    Raises:
        CycadaError: The page holds no study.
    """
    match = re.search(rb'<meta name="cycada-study" content="([0-9a-f]{16})">', html[:5000])
    if not match:
        raise CycadaError(f"{page}: found no study in it, expected a page that `cycada study build` wrote.")
    return match[1].decode()


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
                f"Port {port} on {LOOPBACK}: {error.strerror}. Choose another one with --port, or 0 for a "
                "free one."
            ) from None

    def keep(self, text: bytes) -> tuple[HTTPStatus, str]:
        """Store answers in a file of their own, never over an existing one.

        Returns:
            The status and the text of the response.
        """
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
                    (HTTPStatus.OK, "These answers were received before.")
                    if same
                    else (HTTPStatus.CONFLICT, f"{path.name} exists with other answers.")
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
        """Answer a request in a thread of its own, at most `MOST_THREADS` at once; others wait in the queue.

        While requests wait, those that have taken longer than `SLOWEST` are cut off, so that slow clients do
        not block the others.
        """
        while not self.places.acquire(timeout=SLOWEST):
            for slow in [r for r, began in self.began.copy().items() if time.monotonic() - began > SLOWEST]:
                with suppress(OSError):
                    slow.shutdown(socket.SHUT_RDWR)
        self.began[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a request, and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self.began[request]
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of one request, such as a client that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "cycada-study", ""
    timeout = 30

    def do_GET(self) -> None:
        """Send the page."""
        if not self._is_ours():
            return
        if self.path.partition("?")[0] != "/":
            self._answer(HTTPStatus.NOT_FOUND, "The only page here is /")
            return
        self._answer(HTTPStatus.OK, self.server.html, "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """Receive answers."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._answer(HTTPStatus.LENGTH_REQUIRED, "Expected a Content-Length.")
            return
        # read before any response, because a client that is still sending would not read one
        text = self._body(int(length))
        if not self._is_ours():
            return
        if self.path != "/answers":
            self._answer(HTTPStatus.NOT_FOUND, "Answers go to /answers")
        elif self.headers.get_content_type() != "application/json":
            # a form on another site could send any other type without being asked
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Expected application/json.")
        elif int(length) > LARGEST:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Expected at most {LARGEST} bytes.")
        elif len(text) < int(length):
            self._answer(HTTPStatus.BAD_REQUEST, "The request ended before all of its bytes were sent.")
        else:
            self._answer(*self.server.keep(text))

    def _body(self, length: int) -> bytes:
        """Read the body of a request; throw one away that is too long, up to ten times the largest size."""
        if length <= LARGEST:
            return self.rfile.read(length)
        left = min(length, 10 * LARGEST)
        while left and (chunk := self.rfile.read(min(left, 1 << 16))):
            left -= len(chunk)
        return b""

    def _is_ours(self) -> bool:
        """Return whether a request comes from this server's own page, and otherwise refuse it.

        Another site's page could send one through a name that points to loopback, or across sites.
        """
        port = self.server.server_port
        ours = {f"{name}:{port}" for name in (LOOPBACK, "localhost")} | (
            {LOOPBACK, "localhost"} if port == 80 else set()
        )
        origin = self.headers.get("Origin")
        if self.headers.get("Host") in ours and (origin is None or origin.removeprefix("http://") in ours):
            return True
        self._answer(HTTPStatus.FORBIDDEN, "This server is for its own page on this machine only.")
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
        self.send_header("X-Frame-Options", "DENY")  # no other page may show this one inside a frame
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Log no requests; `keep` reports the answers that were stored."""
