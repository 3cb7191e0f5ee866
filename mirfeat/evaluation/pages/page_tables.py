"""HTML of the tables of a report page: of score reports, and of anything else."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real
from typing import Any

from mirfeat.evaluation.records import ScoreReport, Table
from mirfeat.evaluation.text import difference, reproduced

# Of more sets of features, such as combinations of layers, the best are shown first.
_MOST_OPEN_ROWS = 8
# More notes than these are folded away.
_MOST_OPEN_NOTES = 5
# A table of more rows may go on on the next page in print.
_MOST_KEPT_ROWS = 15
# Of so many features all names are written.
_MOST_NAMES = 8


@dataclass(frozen=True)
class _Column:
    """Cells under a heading; ``better`` is 1 or -1 where the highest or the lowest is the best."""

    heading: str
    values: Sequence[Any]
    better: int = 0
    signed: bool = False

    @property
    def is_number(self) -> bool:
        """Whether all cells are numbers or empty."""
        return all(value is None or _is_number(value) for value in self.values)

    def cell(self, row: int) -> str:
        """HTML of one cell."""
        text = _breakable(cell_words(self.values[row], self.signed))
        if self.better and self._is_best(row):
            text = f"<strong>{text}</strong>"
        return f'<td class="number">{text}</td>' if self.is_number else f"<td>{text}</td>"

    def _is_best(self, row: int) -> bool:
        known = [value for value in self.values if not math.isnan(value)]
        if len(self.values) < 2 or not known:
            return False
        # What reads the same is as good.
        best = max(known, key=lambda value: self.better * value)
        return cell_words(self.values[row]) == cell_words(best)


def report_groups(reports: Sequence[ScoreReport]) -> list[list[ScoreReport]]:
    """Reports that share a table: of one protocol, origin and set of metrics, in order."""
    groups: dict[tuple[str, ...], list[ScoreReport]] = {}
    for report in reports:
        key = (report.protocol, report.origin, *(scores.metric for scores in report.scores))
        groups.setdefault(key, []).append(report)
    return list(groups.values())


def report_table(reports: Sequence[ScoreReport], number: int) -> str:
    """Scores of one of :func:`report_groups`, a row for each report; notes and settings below.

    Of each metric the best is bold. Settings that are numbers and differ between reports are
    columns, all others are folded away.
    """
    first, rest = _best_first(reports)
    total = f", the best of {len(reports)}" if rest else ""
    html = _scores(first, str(number), total)
    if rest:
        others = _scores(rest, f"{number}b", ", the others")
        summary = f"<summary>The other {len(rest)}</summary>"
        html += f'<details class="rest">\n{summary}\n{others}</details>\n'
    shown = [column.heading for column in _setting_columns(reports)]
    return html + _notes(reports) + _settings(reports, leave_out=shown)


def _best_first(
    reports: Sequence[ScoreReport],
) -> tuple[Sequence[ScoreReport], Sequence[ScoreReport]]:
    """Few reports as they are; of many the best, and the others, both sorted."""
    if len(reports) <= _MOST_OPEN_ROWS:
        return reports, ()
    sign = 1 if reports[0].main.higher_is_better else -1
    ordered = sorted(reports, key=lambda report: -sign * report.main.mean)
    return ordered[:_MOST_OPEN_ROWS], ordered[_MOST_OPEN_ROWS:]


def _scores(reports: Sequence[ScoreReport], number: str, which: str) -> str:
    counts = sorted({len(scores.values) for report in reports for scores in report.scores})
    means = "single values" if counts == [1] else "means over folds or repeats"
    if len(counts) == 1 and counts[0] > 1:
        means = f"means of {counts[0]} folds or repeats"
    what = ", ".join(filter(None, (reports[0].protocol, reports[0].origin)))
    caption = f"{what}{which}: {means}" + ("; best in bold." if len(reports) > 1 else ".")
    names = _Column("features", [report.features for report in reports])
    return _table(caption, number, names, [*_setting_columns(reports), *_score_columns(reports)])


def record_table(table: Table, number: int) -> str:
    """A table as it is, folded away if it is a detail.

    Its first column names the rows, its note stands below.
    """
    columns = [
        _Column(heading, [row[place] for row in table.rows])
        for place, heading in enumerate(table.columns)
    ]
    note = f'<p class="note">{escape(table.note)}</p>\n' if table.note else ""
    html = _table(table.title, str(number), columns[0], columns[1:]) + note
    if not table.detail:
        return html
    summary = f"<summary>{escape(table.title)}, {len(table.rows)} rows</summary>"
    return f'<details class="detail">\n{summary}\n{html}</details>\n'


def cell_words(value: Any, signed: bool = False) -> str:
    """A value as it stands in a table: floats with four decimals, a dash for None and NaN."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or (_is_number(value) and math.isnan(value)):
        return "–"
    if not _is_number(value) or isinstance(value, Integral):
        return str(value)
    decimals = ".4f" if value == 0 or 1e-4 <= abs(value) < 1e6 else ".1e"
    return f"{float(value):{'+' if signed else ''}{decimals}}".replace("-", "−")


def _is_number(value: Any) -> bool:
    """Numbers of numpy are, booleans are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _table(caption: str, number: str, names: _Column, columns: Sequence[_Column]) -> str:
    """``names`` are headings of the rows. What is too wide for the page can be scrolled."""
    headings = "".join(
        f'<th scope="col"{_number_class(column)}>{escape(column.heading)}</th>'
        for column in (names, *columns)
    )
    rows = "\n".join(
        f'<tr><th scope="row"{_number_class(names)}>{_breakable(cell_words(name))}</th>'
        + "".join(column.cell(row) for column in columns)
        + "</tr>"
        for row, name in enumerate(names.values)
    )
    kind = "table short" if len(names.values) <= _MOST_KEPT_ROWS else "table"
    kind += " widest" * (len(columns) > 12) + " wide" * (7 < len(columns) <= 12)
    said = f"<b>Table {number}</b> {escape(caption)}"
    return (
        f'<div class="{kind}" role="region" aria-labelledby="table-{number}" tabindex="0">\n'
        f'<table>\n<caption id="table-{number}"><span>{said}</span></caption>\n'
        f"<thead><tr>{headings}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n"
    )


def _breakable(words: str) -> str:
    """HTML of words that may go on in a new line after punctuation, as long names must."""
    return re.sub(r"(?<=[/,+_?])(?=\w)", "<wbr>", escape(words))


def _number_class(column: _Column) -> str:
    return ' class="number"' if column.is_number else ""


def _score_columns(reports: Sequence[ScoreReport]) -> Iterator[_Column]:
    """The main score with its spread, the other scores, and what was published."""
    for place, scores in enumerate(reports[0].scores):
        name = scores.metric if scores.higher_is_better else f"{scores.metric} (less is better)"
        every = [report.scores[place] for report in reports]
        yield _Column(name, [each.mean for each in every], 1 if scores.higher_is_better else -1)
        if place == 0 and any(len(each.values) > 1 for each in every):
            yield _Column("± std", [each.std for each in every])
            yield _Column("std error", [each.standard_error for each in every])
    published = [report.published for report in reports]
    if any(value is not None for value in published):
        differences = [difference(report) for report in reports]
        unlike = any(reproduced(report) != report.main.mean for report in reports)
        yield _Column("published", published)
        # The paper's classifiers never scaled features, where ours chose.
        yield _Column("difference, never scaled" if unlike else "difference", differences, 0, True)


def _setting_columns(reports: Sequence[ScoreReport]) -> Iterator[_Column]:
    for name in _setting_names(reports):
        column = _Column(_title(name), [report.settings.get(name) for report in reports])
        if column.is_number and len(set(column.values)) > 1:
            yield column


def _setting_names(reports: Sequence[ScoreReport]) -> list[str]:
    return list(dict.fromkeys(name for report in reports for name in report.settings))


def _notes(reports: Sequence[ScoreReport]) -> str:
    """Notes, each once; with the features they are about, if not about all."""
    about: dict[str, list[str]] = {}
    for report in reports:
        for note in dict.fromkeys(report.notes):
            about.setdefault(note, []).append(report.features)
    if not about:
        return ""
    items = "".join(
        f"<li>{escape(note)}{escape(_whose(names, reports))}</li>\n"
        for note, names in about.items()
    )
    state = " open" if len(about) <= _MOST_OPEN_NOTES else ""
    return f"<details{state}>\n<summary>Notes</summary>\n<ul>\n{items}</ul>\n</details>\n"


def _settings(reports: Sequence[ScoreReport], leave_out: Sequence[str]) -> str:
    """What decided the numbers, with the features it holds for, if not for all."""
    items = []
    for name in _setting_names(reports):
        about: dict[str, list[str]] = {}
        for report in reports:
            about.setdefault(_words(report.settings.get(name)), []).append(report.features)
        said = "<br>".join(escape(value + _whose(names, reports)) for value, names in about.items())
        if _title(name) not in leave_out:
            items.append(f"<div><dt>{escape(_title(name))}</dt><dd>{said}</dd></div>\n")
    if not items:
        return ""
    return f"<details>\n<summary>Settings</summary>\n<dl>\n{''.join(items)}</dl>\n</details>\n"


def _whose(names: Sequence[str], reports: Sequence[ScoreReport]) -> str:
    """Nothing where it is about all reports, else their names, or the first of them."""
    if len(names) == len(reports):
        return ""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f" ({', '.join(names[:_MOST_NAMES])}{more})"


def _title(name: str) -> str:
    """Name of a setting, to be read."""
    return name.replace("_", " ")


def _words(value: Any) -> str:
    """A setting, to be read."""
    if isinstance(value, Mapping):
        return ", ".join(f"{_title(str(key))} {_words(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else cell_words(value)
