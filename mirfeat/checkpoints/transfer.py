"""Bytes from a server, which may be slow, break off, or never end."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mirfeat.errors import on_a_line

TRIES = 3
PAUSE_SECONDS = 0.5
TIMEOUT_SECONDS = 30.0
"""Without a byte; twice that for all headers of an answer."""
LEAST_BYTES_PER_SECOND = 4096
"""Over ``RATE_SECONDS``; what comes slower is given up, or a server could hold us for days."""
RATE_SECONDS = 60.0
MOST_SECONDS = 6 * 3600.0
"""For a file, all tries together."""
_CHUNK_BYTES = 1 << 16


class Limits:
    """How long a download may take: a server that sends a byte a second would never be done."""

    def __init__(self) -> None:
        self._end = time.monotonic() + MOST_SECONDS

    def chunks(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """What comes, as it comes.

        Raises:
            BrokenOffError: too slowly, or too long.
        """
        begun, came = time.monotonic(), 0
        # Not read(): it waits until all that was asked for is there.
        while chunk := response.read1(_CHUNK_BYTES):
            yield chunk
            came += len(chunk)
            now = time.monotonic()
            if now > self._end:
                raise BrokenOffError(f"not done after {MOST_SECONDS:g} s", final=True)
            if now - begun > RATE_SECONDS:
                if came < LEAST_BYTES_PER_SECOND * (now - begun):
                    raise BrokenOffError(
                        f"slower than {LEAST_BYTES_PER_SECOND} bytes a second: {came} bytes came "
                        f"in {now - begun:.0f} s"
                    )
                begun, came = now, 0


class BrokenOffError(Exception):
    """A try to download failed; ``final``: the next one would fail in the same way."""

    def __init__(self, problem: str, final: bool = False) -> None:
        super().__init__(on_a_line(problem))
        self.final = final


def pause(attempt: int) -> None:
    """Wait before another try, twice as long each time."""
    if attempt:
        time.sleep(PAUSE_SECONDS * 2.0 ** (attempt - 1))


class _Watched(http.client.HTTPConnection):
    """A connection whose headers have to come in time: a timeout alone counts from byte to byte."""

    def getresponse(self) -> http.client.HTTPResponse:
        watch = threading.Timer(2 * TIMEOUT_SECONDS, self._give_up)
        watch.daemon = True
        watch.start()
        try:
            return super().getresponse()
        finally:
            watch.cancel()

    def _give_up(self) -> None:
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


class _WatchedSecure(_Watched, http.client.HTTPSConnection):
    """The same by TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Watched, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        context = {"context": self._context}  # type: ignore[attr-defined]
        return self.do_open(_WatchedSecure, request, **context)


@contextmanager
def answer(address: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
    """What a server answers; errors of the network become :class:`BrokenOffError`."""
    request = urllib.request.Request(address, headers=headers)
    try:
        opener = urllib.request.build_opener(_Http, _Https)
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            yield response
    except urllib.error.HTTPError as error:
        error.close()
        # Trying again does not make a missing file appear.
        final = error.code < 500 and error.code not in (408, 429)
        raise BrokenOffError(f"HTTP {error.code} {error.reason}", final) from error
    # ValueError: of a place that a redirect names and that is no address.
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BrokenOffError(str(getattr(error, "reason", None) or error)) from error
