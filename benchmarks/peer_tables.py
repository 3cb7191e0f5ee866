"""What the runs of ``benchmarks.peers`` come to: medians, ratios, Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.peer_runs import Outcome, found_versions
from benchmarks.peer_tools import REFERENCE, Tool
from benchmarks.tables import print_table

Rounds = Sequence[Outcome]
Number = Callable[[Outcome], "float | None"]


def per_file(outcome: Outcome) -> float | None:
    """Seconds a file, model loaded."""
    return None if outcome.seconds is None else outcome.seconds / outcome.files


def cpu_per_file(outcome: Outcome) -> float | None:
    """Processor seconds a file, over all threads."""
    return None if outcome.cpu_seconds is None else outcome.cpu_seconds / outcome.files


def peak_megabytes(outcome: Outcome) -> float | None:
    """Most memory resident; a stopped run's so far."""
    return outcome.peak_bytes / 1e6 or None


def numbers_of(rounds: Rounds, number: Number) -> list[float]:
    """The rounds that have this number."""
    return [value for value in map(number, rounds) if value is not None]


def ratio(rounds: Rounds, reference: Rounds, number: Number) -> float | None:
    """Median over rounds of the ratio to the reference in the same round.

    Rounds are compared with themselves because another load on the machine hits a whole round.
    """
    pairs = [(number(one), number(other)) for one, other in zip(rounds, reference, strict=False)]
    found = [one / other for one, other in pairs if one is not None and other]
    return statistics.median(found) if found else None


def print_clips(tools: Sequence[Tool], outcomes: Mapping[str, Rounds]) -> None:
    """The table of the short clips."""
    reference = outcomes[REFERENCE]
    rows = []
    for tool in tools:
        rounds = outcomes[tool.name]
        own = ratio(rounds, reference, per_file)
        rows.append(
            (
                tool.name,
                _first_number(rounds),
                f"{rounds[0].files} x {len(rounds)}",
                _spread(numbers_of(rounds, per_file)),
                _plain(own, 2),
                _median(rounds, cpu_per_file, 3),
                _median(rounds, peak_megabytes, 0),
                _median(rounds, lambda outcome: outcome.cold_seconds, 1),
                _remarks(tool, rounds),
            )
        )
    header = ("tool", "numbers", "clips x rounds", "s a clip (range)", "x choi2017")
    more = ("processor s a clip", "peak MB", "cold start s", "remarks")
    print_table("Clips of 30 s, mp3, 44.1 kHz stereo", (*header, *more), rows)


def print_long(tools: Sequence[Tool], outcomes: Mapping[str, Rounds], minutes: float) -> None:
    """The table of the long file."""
    reference = outcomes[REFERENCE]
    rows = []
    for tool in tools:
        if not tool.long_file:
            continue
        rounds = outcomes[tool.name]
        seconds = _median(rounds, per_file, 2)
        own = ratio(rounds, reference, per_file)
        cells = (_plain(own, 2), _median(rounds, cpu_per_file, 2))
        peak = _median(rounds, peak_megabytes, 0)
        rows.append((tool.name, len(rounds), seconds, *cells, peak, _failures(rounds)))
    header = ("tool", "rounds", "s", "x choi2017", "processor s", "peak MB", "what happened")
    print_table(f"One mp3 of {minutes:g} minutes, model loaded", header, rows)


def print_versions(tools: Sequence[Tool], outcomes: Mapping[str, Rounds]) -> None:
    """What ran."""
    rows = []
    for tool in tools:
        versions = found_versions(outcomes[tool.name])
        rows.append((tool.name, ", ".join(f"{name} {text}" for name, text in versions.items())))
    print_table("Versions", ("tool", "packages"), rows)


def _first_number(rounds: Rounds) -> str:
    found = [outcome.numbers for outcome in rounds if outcome.numbers not in (None, 1)]
    return str(found[0]) if found else ""


def _median(rounds: Rounds, number: Number, digits: int) -> str:
    values = numbers_of(rounds, number)
    return _plain(statistics.median(values) if values else None, digits)


def _plain(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return _plain(values[0] if values else None, 3)
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _remarks(tool: Tool, rounds: Rounds) -> str:
    return "; ".join(filter(None, (_failures(rounds), tool.note)))


def _failures(rounds: Rounds) -> str:
    return "; ".join(dict.fromkeys(outcome.failure for outcome in rounds if outcome.failure))
