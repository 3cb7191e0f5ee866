"""A web client for addresses that somebody else wrote: where it is sent, how long, how much.

A list of URLs must not open this network, hold a run for days, or fill its disk.
"""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import os
import shutil
import socket
import time
from typing import Any

# Set to 1: a public address may lead to a host of this network.
PRIVATE = "MIRFEAT_PRIVATE_REDIRECTS"
SILENT_SECONDS = 30.0
"""Without a byte, or until connected."""
HEADERS_SECONDS = 60.0
"""Until all headers of an answer are there: byte by byte they never end."""
LEAST_BYTES_PER_SECOND, RATE_SECONDS = 4096, 60.0
"""What comes slower over that time is given up."""
MOST_SECONDS = 6 * 3600.0
MOST_BYTES = 1 << 34
"""Of a file: a day of stereo as on a CD. Less where the disk has not twice that room."""
_ALWAYS_BYTES = 1 << 30


class GivenUpError(Exception):
    """What a server does is no good, and would not be at another try."""


class PrivateRedirectError(GivenUpError):
    """A web server sends us to a host that only this network can reach."""


class FetchLimits:
    """How long one file may take, and how large it may become in ``folder``."""

    def __init__(self, folder: str) -> None:
        room = max(_ALWAYS_BYTES, shutil.disk_usage(folder).free // 2)
        self._most, self._end = min(MOST_BYTES, room), time.monotonic() + MOST_SECONDS
        self._since, self._came = time.monotonic(), 0

    def check(self, size: int | None, value: int, **_: Any) -> None:
        """Of ``size`` bytes, if that is known, ``value`` came.

        Raises:
            GivenUpError: too slowly, too long, or too many.
        """
        now = time.monotonic()
        if max(value, size or 0) > self._most:
            raise GivenUpError(f"has more than {self._most} bytes, or no end.")
        if now > self._end:
            raise GivenUpError(f"is not there after {MOST_SECONDS:g} s.")
        if (passed := now - self._since) > RATE_SECONDS:
            if value - self._came < LEAST_BYTES_PER_SECOND * passed:
                raise GivenUpError(
                    f"comes slower than {LEAST_BYTES_PER_SECOND} bytes a second: "
                    f"{value - self._came} bytes in {passed:.0f} s."
                )
            self._since, self._came = now, value


async def client(loop: Any = None, **options: Any) -> Any:
    """A web client that looks where it is sent, and does not wait for ever."""
    import aiohttp  # what fsspec speaks http with

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_check_redirect)
    waits = {"sock_connect": SILENT_SECONDS, "sock_read": SILENT_SECONDS}
    options.setdefault("timeout", aiohttp.ClientTimeout(total=MOST_SECONDS, **waits))
    if "middlewares" in inspect.signature(aiohttp.ClientSession).parameters:  # since 3.12
        options.setdefault("middlewares", (_headers_in_time,))
    return aiohttp.ClientSession(trace_configs=[trace], **options)


async def _headers_in_time(request: Any, handler: Any) -> Any:
    return await asyncio.wait_for(handler(request), HEADERS_SECONDS)


async def _check_redirect(session: Any, context: Any, parameters: Any) -> None:
    place = next(filter(None, map(parameters.response.headers.get, ("Location", "URI"))), "")
    target = parameters.url.join(type(parameters.url)(place))
    if target.host == parameters.url.host or os.environ.get(PRIVATE) == "1":
        return
    if not await asyncio.to_thread(is_public, str(target.host)):
        raise PrivateRedirectError(
            f"the server sends us on to {target.host}, which is a host of this network. Where that "
            f"is meant, set the environment variable {PRIVATE}=1."
        )


def is_public(host: str) -> bool:
    """Whether all addresses of a host are for everybody; one without any is not reached."""
    try:
        found = {str(facts[4][0]) for facts in socket.getaddrinfo(host, None)}
    except OSError:
        return True
    return all(_is_global(address.partition("%")[0]) for address in found)


def _is_global(address: str) -> bool:
    found = ipaddress.ip_address(address)
    inside = getattr(found, "ipv4_mapped", None) or found
    return inside.is_global and not inside.is_multicast
