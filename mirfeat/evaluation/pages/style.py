"""Style sheets of pages: what all of them share, then what one has of its own."""

from __future__ import annotations

from importlib.resources import files


def style_of(package: str, name: str) -> str:
    """Colours and letters of all pages, and the style sheet ``name`` of ``package``."""
    shared = files("mirfeat.evaluation.pages").joinpath("shared.css")
    own = files(package).joinpath(name)
    return shared.read_text(encoding="utf-8") + own.read_text(encoding="utf-8")
