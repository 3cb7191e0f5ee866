"""What a run writes to the log."""

import logging

import pytest

from mirfeat.results.outcomes import Result
from mirfeat.runs.tally import Tally


def test_failures_and_notes_are_logged_by_loggers_of_their_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("mirfeat", "mirfeat.failures"):
        caplog.set_level(logging.INFO, name)
    tally = Tally()
    tally.count(Result("a.wav", "failed", None, error="a.wav: empty", error_type="AudioError"))
    tally.count(Result("caf\udce9", "failed", None, error="not audio", error_type="AudioError"))
    tally.count(Result("b.wav", "ok", None, notes=("silent",)))
    assert [(r.name, r.levelno, r.getMessage()) for r in caplog.records] == [
        ("mirfeat.failures", logging.WARNING, "failed: a.wav: empty"),
        ("mirfeat.failures", logging.WARNING, "failed: caf\\udce9: not audio"),
        ("mirfeat.notes", logging.INFO, "b.wav: silent"),
    ]


def test_a_program_without_a_log_sees_failures_in_its_results_only() -> None:
    # Otherwise Python's last resort would print each of ten thousand to stderr.
    handlers = logging.getLogger("mirfeat.failures").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
