"""What notebooks show of results and extractors: a small table and a small picture, as HTML."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from mirfeat.files import readable

_KEYS = ("extractor", "options", "checkpoint_name", "device")
# A picture of more cells is made smaller by averages.
_MOST_ROWS, _MOST_COLUMNS = 64, 256


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Rows under their headings; the first cell of each names it."""
    top = f"<tr>{''.join(f'<th>{_text(cell)}</th>' for cell in head)}</tr>" if head else ""
    body = "".join(
        f"<tr><th>{_text(row[0])}</th>{''.join(f'<td>{_text(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    return f"<table>{top}{body}</table>"


def facts(title: object, provenance: Mapping[str, object]) -> str:
    """A line, and a table of what of a provenance a person asks for."""
    return paragraph(title) + table((), ((key.replace("_", " "), provenance[key]) for key in _KEYS))


def paragraph(text: object) -> str:
    """A line of text."""
    return f"<p>{_text(text)}</p>"


def picture(values: np.ndarray, words: str, *, upright: bool = False) -> str:
    """Numbers [rows, columns] as shades, dark the largest of its column.

    ``upright``: rows from left to right and columns upwards, as time and bands are drawn.
    """
    cells = _smaller(np.nan_to_num(np.asarray(values, np.float64)))
    low, high = cells.min(axis=0), cells.max(axis=0)
    shades = (cells - low) / np.where(high > low, high - low, 1)
    shades = shades.T[::-1] if upright else shades
    data = base64.b64encode(_png((255 * (1 - shades)).astype(np.uint8))).decode()
    style = "width: 32em; height: 8em; max-width: 100%; image-rendering: pixelated"
    return f'<img alt="{escape(words)}" style="{style}" src="data:image/png;base64,{data}">'


def _text(value: object) -> str:
    return escape(readable(f"{value:.4g}" if isinstance(value, float | np.floating) else value))


def _smaller(values: np.ndarray) -> np.ndarray:
    for axis, most in ((0, _MOST_ROWS), (1, _MOST_COLUMNS)):
        if values.shape[axis] > most:
            parts = np.array_split(values, most, axis=axis)
            values = np.stack([part.mean(axis=axis) for part in parts], axis=axis)
    return values


def _png(gray: np.ndarray) -> bytes:
    """A grey image, uint8 [height, width], as PNG (W3C, Portable Network Graphics, section 11)."""
    height, width = gray.shape
    lines = b"".join(b"\0" + line.tobytes() for line in gray)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
