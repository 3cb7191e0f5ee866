"""What a web server may answer that means no good, drawn at random.

Every answer ends by itself when its client goes away or the test is over.
"""

import gzip
import random
import socket
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.support.local_server import Answer, Handler, LocalServer

Piece = Callable[["Turn"], object]


class Turn:
    """One answer to one request: the bytes of a file, and what is drawn about it."""

    def __init__(self, request: Handler, data: bytes, draw: random.Random) -> None:
        self.request, self.data, self.draw = request, data, draw

    @property
    def wanted(self) -> bytes:
        """What was asked for."""
        return self.data[self.start :]

    @property
    def start(self) -> int:
        """First byte asked for."""
        return self.request.start

    def send(self, data: bytes) -> None:
        self.request.wfile.write(data)
        self.request.wfile.flush()

    def wait(self, seconds: float) -> bool:
        """Pause; whether the test is over."""
        return self.request.server.over.wait(seconds)

    def head(self, status: str = "200 OK", **headers: Any) -> None:
        if self.start and status == "200 OK":
            status = "206 Partial Content"
            end = len(self.data) - 1
            headers.setdefault("Content_Range", f"bytes {self.start}-{end}/{len(self.data)}")
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode())

    def cut(self) -> int:
        return self.draw.randrange(len(self.wanted) + 1)


def whole(turn: Turn) -> None:
    turn.head(Content_Length=len(turn.wanted))
    turn.send(turn.wanted)


def no_length(turn: Turn) -> None:
    turn.head(Connection="close")
    turn.send(turn.wanted)


def no_ranges(turn: Turn) -> None:
    turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(turn.data) + turn.data)


def wrong_length(turn: Turn) -> None:
    length = turn.draw.choice(["-1", "0", "1", "1e9", "x", "", str(10**30), "99999999999", "5, 5"])
    turn.head(Content_Length=length)
    turn.send(turn.wanted)


def two_lengths(turn: Turn) -> None:
    turn.head(Content_Length=f"{len(turn.wanted)}\r\nContent-Length: 7")
    turn.send(turn.wanted)


def ends_early(turn: Turn) -> None:
    turn.head(Content_Length=len(turn.wanted))
    turn.send(turn.wanted[: turn.cut()])


def shorter(turn: Turn) -> None:
    end = turn.cut()
    turn.head(Content_Length=end)
    turn.send(turn.wanted[:end])


def longer(turn: Turn) -> None:
    more = turn.draw.randbytes(1 + turn.draw.randrange(5000))
    turn.head(Content_Length=len(turn.wanted) + len(more))
    turn.send(turn.wanted + more)


def resets(turn: Turn) -> None:
    turn.head(Content_Length=len(turn.wanted))
    turn.send(turn.wanted[: turn.cut()])
    now = struct.pack("ii", 1, 0)
    turn.request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
    turn.request.connection.close()


def other_bytes(turn: Turn) -> None:
    changed = bytearray(turn.wanted)
    for _ in range(turn.draw.randrange(1, 5)):
        if changed:
            changed[turn.draw.randrange(len(changed))] = turn.draw.randrange(256)
    turn.head(Content_Length=len(changed))
    turn.send(bytes(changed))


def falls_silent(turn: Turn) -> None:
    turn.head(Content_Length=len(turn.wanted))
    turn.send(turn.wanted[: turn.cut()])
    turn.wait(60)


def says_nothing(turn: Turn) -> None:
    turn.wait(60)


def drips(turn: Turn) -> None:
    turn.head(Content_Length=len(turn.wanted))
    for byte in turn.wanted:
        if turn.wait(0.02):
            return
        turn.send(bytes([byte]))


def drips_headers(turn: Turn) -> None:
    turn.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not turn.wait(0.02):
        turn.send(b"x")


def has_no_end(turn: Turn) -> None:
    turn.head(**({} if turn.draw.random() < 0.5 else {"Content_Length": 10**12}))
    turn.send(turn.wanted)
    noise = turn.draw.randbytes(1 << 16)
    while not turn.wait(0):
        turn.send(noise)


def headers_without_end(turn: Turn) -> None:
    turn.send(b"HTTP/1.1 200 OK\r\n")
    while not turn.wait(0):
        turn.send(b"X-More: %d\r\n" % turn.draw.randrange(10**6) * 1000)


def chunked(turn: Turn) -> None:
    turn.head(Transfer_Encoding="chunked")
    size = turn.draw.choice([b"%x", b"-%x", b"%xffffffffffffffff", b"zz%x", b""])
    turn.send((size % len(turn.wanted) if b"%" in size else size) + b"\r\n" + turn.wanted + b"\r\n")
    turn.send(turn.draw.choice([b"0\r\n\r\n", b"", b"5\r\nab"]))


def encoded(turn: Turn) -> None:
    """Bytes that are, or are not, what Content-Encoding says."""
    kind = turn.draw.choice(["gzip", "deflate", "br", "zstd", "x-nothing", "gzip, gzip"])
    bodies = [turn.wanted, gzip.compress(turn.wanted), zlib.compress(turn.wanted)]
    body = turn.draw.choice([*bodies, gzip.compress(turn.wanted)[:-9]])
    turn.head(Content_Encoding=kind, Content_Length=len(body))
    turn.send(body)


def bomb(turn: Turn) -> None:
    """A few kilobytes that become many megabytes."""
    body = gzip.compress(bytes(1 << 24))
    turn.head(Content_Encoding="gzip", Content_Length=len(body))
    turn.send(body)


def garbage(turn: Turn) -> None:
    begins = [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"SSH-2.0\r\n"]
    turn.send(turn.draw.choice(begins) + turn.draw.randbytes(turn.draw.randrange(2000)))


def odd_headers(turn: Turn) -> None:
    lines = [
        b"\xff\xfe: \x00",
        b": no name",
        b"No colon",
        b"A: " + b"x" * 70_000,
        b"\tfolded",
        b"\r",
    ]
    turn.send(b"HTTP/1.1 200 OK\r\n" + turn.draw.choice(lines) + b"\r\n")
    turn.send(b"Content-Length: %d\r\n\r\n" % len(turn.wanted) + turn.wanted)


def status(turn: Turn) -> None:
    codes = [
        "100 Continue",
        "204 No",
        "304 Same",
        "401 Who",
        "403 No",
        "404 No",
        "408 Slow",
        "416 No",
    ]
    codes += ["429 Wait", "451 Law", "500 Oh", "503 Later", "999 Odd", "200", "-5 x", "abc", "20 0"]
    turn.head(turn.draw.choice(codes), Content_Length=3)
    turn.send(b"abc")


def wrong_range(turn: Turn) -> None:
    span = turn.draw.choice(["bytes 0-1/2", "bytes x", "", "bytes 99-5/1", f"bytes 0-{10**30}/*"])
    turn.head("206 Partial Content", Content_Range=span, Content_Length=len(turn.wanted))
    turn.send(turn.wanted)


def redirects(turn: Turn) -> None:
    port = turn.request.server.server_port
    places = [
        *(
            "/",
            "/again",
            "",
            "//",
            "http://",
            "http://[",
            "file:///etc/passwd",
            "ftp://127.0.0.1:1/a",
        ),
        *(f"http://localhost:{port}/in", "http://127.0.0.1:1/", "http://[::1]:1/", "gopher://a/b"),
        *(
            "javascript:1",
            "data:audio/wav;base64,AAAA",
            "http://\x00/",
            "s3://bucket/a",
            "x" * 9000,
        ),
        *(f"http://0x7f.1:{port}/", f"http://user:secret@127.0.0.1:{port}/a"),
    ]
    code = turn.draw.choice(["301 a", "302 a", "303 a", "307 a", "308 a", "300 a"])
    turn.head(code, Location=turn.draw.choice(places), Content_Length=0)


HONEST = (whole, no_length, no_ranges)
SLOW = (falls_silent, says_nothing, drips, drips_headers)
HOSTILE = (
    *(wrong_length, two_lengths, ends_early, shorter, longer, resets, other_bytes, has_no_end),
    *(headers_without_end, chunked, encoded, bomb, garbage, odd_headers, status, wrong_range),
    redirects,
)


def behaviours(seed: int, data: bytes, played: list[str], slow: float = 0.05) -> Answer:
    """Another answer for each request, by a seed; ``played`` gets their names."""
    draw = random.Random(seed)

    def answer(request: Handler) -> None:
        with request.server.counting:
            kinds = SLOW if draw.random() < slow else (*HOSTILE, *HONEST)
            piece, own = draw.choice(kinds), random.Random(draw.random())
            played.append(piece.__name__)
        with suppress(OSError, ValueError):  # the client has left
            piece(Turn(request, data, own))

    return answer


def server(seed: int, data: bytes, played: list[str], slow: float = 0.05) -> LocalServer:
    """A server that answers as :func:`behaviours` draws."""
    return LocalServer(behaviours(seed, data, played, slow))
