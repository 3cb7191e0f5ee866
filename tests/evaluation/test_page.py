"""The report page is whole, safe and readable by machines as by people."""

import base64
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mirfeat.evaluation.pages.clip_figures import confusion_matrix, embedding_map
from mirfeat.evaluation.pages.figures import layer_sweep, score_bars
from mirfeat.evaluation.pages.page import Heard, Section, build_page, write_page
from mirfeat.evaluation.pages.page_tables import cell_words, record_table, report_table
from mirfeat.evaluation.records import (
    Evaluation,
    Predictions,
    ScoreReport,
    Scores,
    Table,
)

pytest.importorskip("matplotlib")

VOID = {"meta", "br", "wbr", "link", "img"}
NASTY = "</td><script>alert(1)</script><img src=http://x onerror=y>\"'&"


class Page(HTMLParser):
    """Elements of a page, with their attributes and words; closing tags must fit."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


def reports(names: tuple[str, ...] = ("a", "b", "mfcc")) -> tuple[ScoreReport, ...]:
    return tuple(
        ScoreReport(
            "svm-grid",
            name,
            (Scores("accuracy", (0.5 + place / 10, 0.6)), Scores("accuracy, nested", (0.4, 0.5))),
            {"numbers": 32 * place, "folds": "two", "chosen": {"C": 0.1 * (place > 0)}},
            ("all leak",) + (("only here",) if place == 1 else ()),
            published=0.55 if place == 0 else None,
        )
        for place, name in enumerate(names)
    )


def sections(name: str = "name") -> list[Section]:
    table = Table(f"Table of {name}", ("class", "p"), ((name, 1e-9), ("x", math.nan)), name)
    predictions = Predictions(
        np.arange(4), np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]), (name, "other")
    )
    return [
        Section(f"Scores of {name}", "One.\n\nTwo.", Evaluation(reports(), (table,))),
        Section(
            "Figures",
            drawings=(
                score_bars(reports((name, "b"))),
                layer_sweep(reports(("1", "2", "3", "4"))),
                confusion_matrix(predictions),
                embedding_map(np.eye(2), [name, "x"], label=name),
            ),
        ),
    ]


@pytest.fixture(scope="module")
def page() -> str:
    return build_page("Title", "Summary.", sections())


def rows_of(html: str) -> list[list[str]]:
    """Cells of all rows, without markup."""
    return [
        [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", html)
    ]


def test_pages_are_the_same_for_the_same_input(page: str) -> None:
    assert page == build_page("Title", "Summary.", sections())


def test_pages_need_nothing_else(page: str) -> None:
    parsed = Page(page)
    for _, attributes in parsed.found:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "style", "clip-path"):
                assert value is not None
                assert not re.search(r"https?:|//|@import|url\((?!#)", value)
    assert not parsed.all("script", "link", "iframe", "object")
    (policy,) = (m["content"] for m in parsed.all("meta") if "http-equiv" in m)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_names_are_words_whatever_they_look_like() -> None:
    page = build_page(NASTY, NASTY, sections(NASTY))
    parsed = Page(page)
    assert not parsed.all("script", "img")
    assert not [name for _, attributes in parsed.found for name in attributes if name[:2] == "on"]
    assert any("alert(1)" in words for words in parsed.words)


def test_ids_are_unique_and_links_inside_the_page_lead_somewhere(page: str) -> None:
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in parsed.found:
        for name, value in attributes.items():
            for target in re.findall(r"(?:^#|url\(#)([^)]+)", value or ""):
                assert target in ids, name
        for label in (attributes.get("aria-labelledby") or "").split():
            assert label in ids


def test_pages_can_be_read_aloud(page: str) -> None:
    parsed = Page(page)
    assert parsed.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in parsed.found if re.fullmatch("h[1-6]", tag)]
    assert levels == [1, 2, 2]
    images = [svg for svg in parsed.all("svg") if svg.get("role") == "img"]
    assert len(images) == len(parsed.all("svg")) == len(parsed.all("figure")) == 4
    assert all((svg["aria-label"] or "").endswith(".") for svg in images)
    assert len(parsed.all("caption")) == len(parsed.all("table")) == 2
    assert {header["scope"] for header in parsed.all("th")} == {"col", "row"}
    assert [link["href"] for link in parsed.all("a")][:2] == ["#section-1", "#section-2"]


def test_figures_take_the_colours_of_the_theme_and_bring_their_numbers(page: str) -> None:
    figures = page[page.index("<figure>") :]
    assert "var(--ink)" in figures
    assert not re.search("#1b1f24|#ffffff", figures)
    data = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', figures)
    assert len(data) == 4
    lines = base64.b64decode(data[0]).decode().splitlines()
    assert lines[0] == "features,accuracy,standard error,nested,published"
    assert lines[1].startswith("b,0.6,0.0")


def test_every_row_has_a_cell_for_each_heading(page: str) -> None:
    for table in re.findall("<table>.*?</table>", page, flags=re.DOTALL):
        rows = rows_of(table)
        assert len({len(row) for row in rows}) == 1


def test_scores_stand_beside_their_spread_and_what_was_published() -> None:
    html = report_table(reports(), 1)
    heading, first, second, _ = rows_of(html)
    assert heading == [
        "features", "numbers", "accuracy", "± std", "std error", "accuracy, nested", "published",
        "difference",
    ]  # fmt: skip
    assert first == ["a", "0", "0.5500", "0.0707", "0.0500", "0.4500", "0.5500", "+0.0000"]
    assert second[-2:] == ["–", "–"]
    assert "means of 2 folds" in html


def test_the_best_of_each_metric_is_bold() -> None:
    def bold(*values: float, higher: bool = True) -> list[str]:
        some = [
            ScoreReport("p", "f", (Scores("m", (value,), higher_is_better=higher),))
            for value in values
        ]
        return re.findall("<strong>(.*?)</strong>", report_table(some, 1))

    assert bold(0.1, 0.3, 0.2) == ["0.3000"]
    assert bold(0.1, 0.3, higher=False) == ["0.1000"]
    assert bold(0.30001, 0.3) == ["0.3000", "0.3000"]
    assert bold(math.nan, 0.3) == ["0.3000"]
    assert bold(math.nan, math.nan) == bold(0.3) == []


def test_reports_of_other_protocols_origins_or_metrics_have_tables_of_their_own() -> None:
    other = ScoreReport("similarity", "a", (Scores("P@10", (0.5,)),))
    layers = replace(other, origin="choi2017")
    every = Evaluation((*reports(), other, layers, other))
    page = build_page("t", "", [Section("s", evaluation=every)])
    captions = re.findall(r"<b>Table \d</b> (.*?):", page)
    assert captions == ["svm-grid", "similarity", "similarity, choi2017"]


def test_what_was_published_is_compared_with_the_scores_that_were_made_like_it() -> None:
    scores = (Scores("accuracy", (0.6,)), Scores("accuracy, never scaled", (0.5,)))
    html = report_table([ScoreReport("p", "a", scores, published=0.45)], 1)
    heading, cells = rows_of(html)
    assert dict(zip(heading, cells, strict=True))["difference, never scaled"] == "+0.0500"


def test_details_are_folded_away() -> None:
    html = record_table(Table("T", ("k",), ((1,), (2,)), detail=True), 1)
    assert html.startswith('<details class="detail">\n<summary>T, 2 rows</summary>')


def test_many_features_are_sorted_and_all_but_the_best_are_folded_away() -> None:
    many = [
        ScoreReport("layer-sweep", f"f{k}", (Scores("accuracy", (k / 30,)),)) for k in range(28)
    ]
    html = report_table(many, 3)
    best, rest = html.split('<details class="rest">')
    names = [re.findall(r'<th scope="row">(.*?)</th>', part) for part in (best, rest)]
    assert names[0] == [f"f{k}" for k in range(27, 19, -1)]
    assert names[1] == [f"f{k}" for k in range(19, -1, -1)]
    assert "<summary>The other 20</summary>" in rest
    assert "the best of 28" in best
    assert 'id="table-3"' in best
    assert 'id="table-3b"' in rest


def test_clips_are_heard_and_their_names_are_escaped() -> None:
    heard = (Heard("<a>", "music/a%20b.mp3", "rock, taken for jazz"), Heard("b", None))
    page = build_page("t", "", [Section("s", heard=heard)])
    assert '<audio controls preload="none" src="music/a%20b.mp3">' in page
    assert "&lt;a&gt;" in page
    assert page.count("<audio") == 1
    assert "media-src * data: blob: file:" in page
    assert "media-src" not in build_page("t", "", [Section("s")])


def test_notes_and_settings_say_what_they_are_about() -> None:
    html = report_table(reports(), 1)
    items = re.findall("<li>(.*?)</li>", html)
    assert items == ["all leak", "only here (b)"]
    assert "<details open>\n<summary>Notes" in html
    settings = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", html))
    assert settings == {"folds": "two", "chosen": "C 0 (a)<br>C 0.1 (b, mfcc)"}
    many = [
        ScoreReport("p", f"f{k}", (Scores("m", (1.0,)),), {"seed": k % 2}, (f"note {k % 7}",))
        for k in range(28)
    ]
    html = report_table(many, 1)
    assert "<details>\n<summary>Notes" in html
    assert "note 0 (f0, f7, f14, f21)" in html
    assert "<summary>Settings" not in html


def test_tables_align_numbers_and_say_what_is_missing() -> None:
    rows = (("a", np.float32(0.25), 3, True), ("b", math.nan, None, False))
    html = record_table(Table("T", ("name", "x", "n", "ok"), rows, "A note."), 7)
    assert rows_of(html)[1:] == [["a", "0.2500", "3", "yes"], ["b", "–", "–", "no"]]
    assert html.count('class="number"') == 6
    assert '<p class="note">A note.</p>' in html
    assert "Table 7" in html
    assert rows_of(record_table(Table("T", ("name",), ()), 1)) == [["name"]]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.5, "0.5000"),
        (-0.5, "−0.5000"),
        (0.0, "0.0000"),
        (1.2e-17, "1.2e−17"),
        (2.5e7, "2.5e+07"),
        (math.inf, "inf"),
        (12, "12"),
        (np.int64(12), "12"),
        ("a-b", "a-b"),
        (None, "–"),
        (True, "yes"),
    ],
)
def test_cells(value: object, words: str) -> None:
    assert cell_words(value) == words


def test_long_names_can_be_broken_where_they_have_joints() -> None:
    html = record_table(Table("T", ("name",), (("a/b&c,d+e/",),)), 1)
    assert "a/<wbr>b&amp;c,<wbr>d+<wbr>e/<" in html


def test_pages_without_anything_are_pages() -> None:
    parsed = Page(build_page("Title", "", []))
    assert len(parsed.all("h1")) == 1
    assert not parsed.all("nav", "p", "table")
    assert not Page(build_page("t", "", [Section("only one")])).all("nav")


def test_pages_are_written_whole_whatever_is_in_them(tmp_path: Path) -> None:
    path = write_page(tmp_path / "new" / "page.html", "bytes of a name: \udcff", "日本", [])
    text = path.read_text(encoding="utf-8")
    assert "bytes of a name: ?" in text
    assert "日本" in text
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
