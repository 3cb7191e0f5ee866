"""A web client that looks where it is sent: a list of URLs must not open this network."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from typing import Any

# Set to 1: a public address may lead to a host of this network.
PRIVATE = "MIRFEAT_PRIVATE_REDIRECTS"


class PrivateRedirectError(Exception):
    """A web server sends us to a host that only this network can reach."""


async def client(loop: Any = None, **options: Any) -> Any:
    """A web client that looks where it is sent: a list of URLs must not open this network."""
    import aiohttp  # what fsspec speaks http with

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_check_redirect)
    return aiohttp.ClientSession(trace_configs=[trace], **options)


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
