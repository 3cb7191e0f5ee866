"""Paths and addresses: what of an address is secret, what may be shown, which is meant.

What is secret in an address, passwords and signatures, is used and never shown or stored.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

# One letter is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


# Parts of a query that are no part of a name: signatures, and what comes with them.
_SECRET = re.compile(
    r"(x-(amz|goog|ms|oss|bce)-.*|.*(sig|token|secret|passw|credential|auth|signature|access-?key)"
    r".*|.*api_?-?key.*|key|key-pair-id|policy|expires|googleaccessid|awsaccesskeyid|hdnts|hdnea"
    r"|s[evprt]|sip|spr|sr|skoid|sktid|skt|ske|sks|skv|response-content-.*|response-cache-.*)",
    re.IGNORECASE,
)
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>]+")


def public(url: str) -> str:
    """A URL without user, password and signature: what may be shown, and what ids are made of.

    Other parts of a query stay, as they may say which file is meant.
    """
    start, _, rest = url.partition("://")
    place, question, query = rest.partition("?")
    host, slash, path = place.partition("/")
    host = host.rpartition("@")[2]
    if question:
        query = query.partition("#")[0]
        kept = [part for part in query.split("&") if not _is_secret(part)]
        query = "?" + "&".join(kept) if kept and kept != [""] else ""
    elif protocol_of(url) in ("http", "https"):
        path = path.partition("#")[0]
    return f"{start}://{host}{slash}{path}{query}"


def _is_secret(part: str) -> bool:
    return _SECRET.fullmatch(part.partition("=")[0]) is not None


def without_secrets(text: str) -> str:
    """A message of somebody else's with the URLs in it as :func:`public` has them."""
    return _IN_TEXT.sub(lambda match: public(match[0]), text)


@dataclass(frozen=True)
class Remote(os.PathLike[str]):
    """A file or folder at a URL, which a ``Path`` cannot hold: it would make one slash of two.

    ``size`` in bytes and ``stamp``, a number that differs when the content does, are -1 as long
    as nobody asked.
    """

    url: str = field(repr=False)
    size: int = field(default=-1, compare=False)
    stamp: int = field(default=-1, compare=False)

    def __str__(self) -> str:
        """The URL without secrets."""
        return public(self.url)

    def __repr__(self) -> str:
        """The same."""
        return f"Remote({str(self)!r})"

    def __fspath__(self) -> str:
        """The URL as it was given."""
        return self.url

    @property
    def name(self) -> str:
        """Its last part."""
        return str(self).partition("?")[0].rstrip("/").rpartition("/")[2]


Location: TypeAlias = Path | Remote
"""Where a file or folder is."""


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether this is an address and not a path."""
    if isinstance(path, str):
        return _URL.match(path) is not None
    return not isinstance(path, Path) and is_url(os.fspath(path))


def located(path: str | os.PathLike[str]) -> Location:
    """A path or an address, from what a caller gave."""
    if isinstance(path, Remote | Path):
        return path
    return Remote(os.fspath(path)) if is_url(path) else Path(path)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as it is, or a URL without its secrets."""
    text = os.fspath(path)
    return public(text) if is_url(text) else text


def protocol_of(url: str) -> str:
    """Kind of an address: ``s3``, ``https`` and so on."""
    return url.partition("://")[0].lower()
