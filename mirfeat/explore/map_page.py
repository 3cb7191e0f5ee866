"""A map of songs as one page: hover, click, hear. Drawn on a canvas by ``map.js``.

No plotting library: a page of bokeh or plotly carries 1 to 4 MB of script, and the player, the
neighbours and the tags beside the map would be ours all the same.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
from html import escape
from pathlib import Path
from typing import Any

from mirfeat.evaluation.pages.drawing import PALETTE
from mirfeat.evaluation.pages.style import style_of
from mirfeat.explore.song_map import SongMap, by_frequency
from mirfeat.files import replacing

# Six colours and four shapes tell so many labels apart; all others are grey.
MOST_LABELS = 24


def build_map(songs: SongMap, title: str, note: str = "") -> str:
    """The page as HTML; the same bytes for the same input.

    Args:
        songs: what it shows.
        title: of the page.
        note: a sentence below the title.
    """
    style, script = style_of("mirfeat.explore", "map.css"), _part("map.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "media-src * data: blob: file:; img-src data:"
    )
    # "<" never stands in the data, so that no name of a song can end it.
    data = json.dumps(_data(songs), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return _part("map.html").format(
        title=escape(title),
        note=escape(note),
        policy=escape(policy),
        style=style,
        script=script,
        data=data,
        count=len(songs.names),
    )


def write_map(path: str | Path, songs: SongMap, title: str, note: str = "") -> Path:
    """Write :func:`build_map` to a file, whole or not at all; it replaces one that is there.

    >>> from mirfeat.explore.map_page import write_map
    >>> from mirfeat.explore.song_map import make_map
    >>> table = mirfeat.load_extractor("mfcc").extract_files(songs[:6], progress=False)
    >>> write_map("map.html", make_map(table), "Six songs").name
    'map.html'
    """
    page = build_map(songs, title, note)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(page.encode("utf-8", errors="replace"))
    return Path(path)


def _data(songs: SongMap) -> dict[str, Any]:
    groups = by_frequency(songs.labels)
    number = {name: index for index, (name, _) in enumerate(groups)}
    digits = 3 if songs.metric == "cosine" else 1
    return {
        "names": songs.names,
        "x": [round(x, 5) for x in songs.positions[:, 0].tolist()],
        "y": [round(y, 5) for y in songs.positions[:, 1].tolist()],
        "near": songs.near.tolist(),
        "close": [[round(v, digits) for v in row] for row in songs.closeness.tolist()],
        "metric": songs.metric,
        "groups": [{"name": name or "none", "count": count} for name, count in groups],
        "group": [number[label] for label in songs.labels],
        "groupName": songs.label_name,
        "mostGroups": MOST_LABELS,
        "palette": PALETTE,
        "sounds": songs.sounds,
        "tags": songs.tags,
    }


def _part(name: str) -> str:
    return importlib.resources.files("mirfeat.explore").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"
