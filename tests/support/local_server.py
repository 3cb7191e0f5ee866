"""A real HTTP server on 127.0.0.1 that answers as a test tells it to.

``server.answers`` holds one function for each request to come; the last one answers all further
requests. What came is in ``server.ranges``.
"""

import hashlib
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from mirfeat.networks.spec import Checkpoint

Answer = Callable[["Handler"], object]


class Handler(BaseHTTPRequestHandler):
    """One request; HTTP/1.0, so the connection ends with the answer."""

    server: "LocalServer"

    @property
    def start(self) -> int:
        """First byte asked for."""
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def do_GET(self) -> None:
        with self.server.counting:
            self.server.ranges.append(self.headers.get("Range"))
            answer = self.server.answers[0]
            if len(self.server.answers) > 1:
                self.server.answers.pop(0)
        answer(self)

    def head(self, status: int, **headers: Any) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class LocalServer(ThreadingHTTPServer):
    """Context manager: a thread answers until the block ends."""

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.ranges: list[str | None] = []
        self.counting = threading.Lock()
        self.over = threading.Event()
        """Set when the test is over: what answers that hold a connection open wait for."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "LocalServer":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""

    def record(self, data: bytes, path: str = "weights.hdf5", **changes: Any) -> Checkpoint:
        """Record of a checkpoint that this server publishes."""
        fields: dict[str, Any] = {
            "name": "msd",
            "location": f"{self.address}/{path}",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
            "licence": "a licence",
            "training_data": "random numbers",
        }
        return Checkpoint(**{**fields, **changes})


def whole(data: bytes, ranges: bool = True) -> Answer:
    """Send what was asked for, or everything where the server knows no ranges."""
    return cut(data, len(data), ranges)


def cut(data: bytes, end: int, ranges: bool = True) -> Answer:
    """Announce everything that was asked for, and close the connection at byte ``end``."""

    def answer(request: Handler) -> None:
        announce(request, data, ranges)
        request.wfile.write(data[request.start if ranges else 0 : end])

    return answer


def stall(data: bytes, end: int, sent: threading.Event | None = None) -> Answer:
    """Announce everything, send the bytes before ``end``, then say no more."""

    def answer(request: Handler) -> None:
        announce(request, data, ranges=True)
        request.wfile.write(data[request.start : end])
        if sent is not None:
            sent.set()
        request.server.over.wait()

    return answer


def announce(request: Handler, data: bytes, ranges: bool) -> None:
    if not (ranges and request.start):
        request.head(200, Content_Length=len(data))
        return
    span = f"bytes {request.start}-{len(data) - 1}/{len(data)}"
    request.head(206, Content_Length=len(data) - request.start, Content_Range=span)


def unannounced(data: bytes) -> Answer:
    """Send everything without saying how much that is; no range lies beyond its end."""

    def answer(request: Handler) -> None:
        if request.start >= len(data):
            request.send_error(416)
            return
        request.head(200)
        request.wfile.write(data)

    return answer


def reset(data: bytes, end: int) -> Answer:
    """Announce everything and break the connection at byte ``end``, as a fallen link does."""

    def answer(request: Handler) -> None:
        announce(request, data, ranges=True)
        request.wfile.write(data[request.start : end])
        now = struct.pack("ii", 1, 0)
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        request.connection.close()

    return answer


def status(code: int) -> Answer:
    """Send an error page."""
    return lambda request: request.send_error(code)


def redirect(path: str) -> Answer:
    """Send the client to another place on this server."""
    return lambda request: request.head(302, Location=f"{request.server.address}/{path}")


def drip(data: bytes, seconds: float = 0.01) -> Answer:
    """Announce everything and send a byte at a time, until the test is over."""

    def answer(request: Handler) -> None:
        announce(request, data, ranges=True)
        for byte in data[request.start :]:
            if request.server.over.wait(seconds):
                return
            request.wfile.write(bytes([byte]))
            request.wfile.flush()

    return answer


def drip_headers(seconds: float = 0.01) -> Answer:
    """Begin an answer whose headers never end."""

    def answer(request: Handler) -> None:
        request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
        while not request.server.over.wait(seconds):
            request.wfile.write(b"x")
            request.wfile.flush()

    return answer
