"""One HTML page of an evaluation that needs no network, and no other file but music to play.

Words of others (names of classes, notes) are escaped, and a content security policy keeps the page
from loading or running anything even so. Read on screen, light or dark, and in print.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape, unescape
from itertools import count
from pathlib import Path

from mirfeat.evaluation.pages.drawing import INK, MUTED, PAPER, RULE, Drawing, csv_rows
from mirfeat.evaluation.pages.page_tables import record_table, report_groups, report_table
from mirfeat.evaluation.pages.style import style_of
from mirfeat.evaluation.records import Evaluation, Table
from mirfeat.files import replacing

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# A figure that a phone shows whole.
_NARROW_POINTS = 420
_HASH = re.compile(r"'sha256-[A-Za-z0-9+/=]+'")
# Colours of the page's theme in place of those of a figure on white.
_THEMED = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--paper)"}


@dataclass(frozen=True)
class Heard:
    """A clip to listen to: its name, an address for an audio element or None, and a remark."""

    name: str
    sound: str | None
    remark: str = ""


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page: words, figures, clips, pages inside it, score reports and tables.

    ``text``: plain; empty lines separate paragraphs. ``frames``: whole pages as HTML, by title;
    their policy must name the hashes of their scripts.
    """

    heading: str
    text: str = ""
    evaluation: Evaluation = field(default_factory=Evaluation)
    drawings: tuple[Drawing, ...] = ()
    heard: tuple[Heard, ...] = ()
    frames: tuple[tuple[str, str], ...] = ()


def build_page(title: str, summary: str, sections: Sequence[Section]) -> str:
    """The page as HTML; the same bytes for the same input.

    Args:
        title: of the page.
        summary: what was found, in plain words; empty lines separate paragraphs.
        sections: in order. Figures and tables are numbered through all of them.
    """
    figures, tables = count(1), count(1)
    parts = [
        f'<section id="section-{number}">\n<h2>{escape(section.heading)}</h2>\n'
        + _paragraphs(section.text)
        + "".join(_frame(name, html) for name, html in section.frames)
        + "".join(_figure(drawing, next(figures)) for drawing in section.drawings)
        + _players(section.heard)
        + "".join(_tables(section.evaluation, tables))
        + "</section>\n"
        for number, section in enumerate(sections, 1)
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(sections))}">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\n{style_of('mirfeat.evaluation.pages', 'page.css')}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{escape(title)}</h1>\n{_paragraphs(summary)}</header>\n"
        f"{_contents(sections)}<main>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def write_page(path: str | Path, title: str, summary: str, sections: Sequence[Section]) -> Path:
    """Write :func:`build_page` to a file, whole or not at all; it replaces one that is there."""
    page = build_page(title, summary, sections)
    with replacing(Path(path)) as temporary:
        # What UTF-8 cannot hold, such as bytes of a file name, becomes a question mark.
        temporary.write_bytes(page.encode("utf-8", errors="replace"))
    return Path(path)


def _contents(sections: Sequence[Section]) -> str:
    """Links to the sections, where there are several."""
    if len(sections) < 2:
        return ""
    items = "".join(
        f'<li><a href="#section-{number}">{escape(section.heading)}</a></li>\n'
        for number, section in enumerate(sections, 1)
    )
    return f'<nav aria-label="Contents">\n<ol>\n{items}</ol>\n</nav>\n'


def _policy(sections: Sequence[Section]) -> str:
    """What the page may load: nothing but music, and scripts of the pages inside it by their hash.

    A page inside has to obey this policy and its own.
    """
    frames = [html for section in sections for _, html in section.frames]
    hashes = dict.fromkeys(token for html in frames for token in _HASH.findall(unescape(html)))
    scripts = f"; script-src {' '.join(hashes)}" if hashes else ""
    heard = frames or any(section.heard for section in sections)
    return f"{_POLICY}{scripts}{'; media-src * data: blob: file:' if heard else ''}"


def _frame(title: str, html: str) -> str:
    return f'<iframe title="{escape(title)}" srcdoc="{escape(html)}"></iframe>\n'


def _players(heard: Sequence[Heard]) -> str:
    items = "".join(
        f"<li><b>{escape(clip.name)}</b> {escape(clip.remark)}"
        + (
            f'<audio controls preload="none" src="{escape(clip.sound)}"></audio>'
            if clip.sound
            else ""
        )
        + "</li>\n"
        for clip in heard
    )
    return f'<h3>Confused</h3>\n<ul class="heard">\n{items}</ul>\n' if heard else ""


def _paragraphs(text: str) -> str:
    blocks = re.split(r"\n\s*\n", text.strip())
    return "".join(f"<p>{escape(block)}</p>\n" for block in blocks if block)


def _tables(evaluation: Evaluation, numbers: Iterator[int]) -> Iterator[str]:
    for group in report_groups(evaluation.reports):
        yield report_table(group, next(numbers))
    for table in evaluation.tables:
        yield record_table(table, next(numbers))


def _figure(drawing: Drawing, number: int) -> str:
    data = drawing.data
    return (
        f'<figure>\n<div class="plot" role="region" aria-label="Figure {number}" tabindex="0">\n'
        f"{_inline(drawing, number)}</div>\n"
        f"<figcaption><b>Figure {number}</b> {escape(data.title)}. {escape(data.note)} "
        f'<a class="data" href="data:text/csv;charset=utf-8;base64,{_csv(data)}" '
        f'download="figure-{number}.csv">Data (CSV)</a></figcaption>\n</figure>\n'
    )


def _inline(drawing: Drawing, number: int) -> str:
    """The figure as an element of the page, with its colours, and names no other figure has."""
    svg = drawing.svg()
    svg = svg[svg.index("<svg") :]
    # These styles would hold for the whole page, which has the same for figures.
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]+>", lambda tag: _themed(tag[0], f"figure-{number}-"), svg)
    width, height = (float(size) for size in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2])
    kind = ' class="narrow"' if width <= _NARROW_POINTS else ""
    start = (
        f'<svg role="img" aria-label="{escape(drawing.alt)}" viewBox="0 0 {width:g} {height:g}" '
        f'style="--width: {width:g}pt"{kind}>'
    )
    return start + svg[svg.index(">") + 1 :]


def _themed(tag: str, prefix: str) -> str:
    """One tag; words between tags may look like anything and are left alone."""
    for color, variable in _THEMED.items():
        tag = tag.replace(color, variable)
    tag = re.sub(r'\bid="', f'id="{prefix}', tag)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", tag)


def _csv(table: Table) -> str:
    """base64 of the numbers behind a figure."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([table.columns, *csv_rows(table)])
    return base64.b64encode(buffer.getvalue().encode("utf-8", errors="replace")).decode()
