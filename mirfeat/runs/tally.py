"""What became of the files of a run, counted."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from mirfeat import errors
from mirfeat.errors import AudioError, ExtractionError, MirfeatError
from mirfeat.files import readable
from mirfeat.pipeline.profile import Profile
from mirfeat.results.outcomes import Failure, Result, RunReport

# Loggers of their own, so that a program can take one and leave the other.
failure_log = logging.getLogger("mirfeat.failures")
note_log = logging.getLogger("mirfeat.notes")
# Who has set nothing up reads failures in the result; they are not printed as well.
failure_log.addHandler(logging.NullHandler())


class Tally:
    """Counts what became of files; says so where nothing but failures came."""

    def __init__(self) -> None:
        """Nothing so far."""
        self._done, self._seconds = 0, 0.0
        self._failures: list[Failure] = []
        self._notes = Counter[str]()
        self._listed: Mapping[str, Failure] = {}
        self._known = self._kept = 0

    def know(self, listed: Mapping[str, Failure]) -> None:
        """Failures that were listed before, for the same state of their files."""
        self._listed = listed

    def keep(self, failure: Failure) -> None:
        """Take one that was listed before and is not tried again."""
        self._failures.append(failure)
        self._known += 1
        self._kept += 1

    def count(self, result: Result) -> None:
        """Take one more."""
        if result.status == "failed":
            failure_log.warning("failed: %s", readable(_said(result)))
            self._failures.append(failure_of(result))
            self._known += result.id in self._listed
            return
        for note in result.notes:
            note_log.info("%s: %s", readable(result.id), note)
        self._done += 1
        self._seconds += result.seconds
        # By kind: how long a tiled clip was does not matter here.
        self._notes.update(re.sub(r"^\d+ | from [\d.]+ s", "", note) for note in result.notes)

    def check(self, listed: str = "") -> None:
        """Raise where every file failed.

        Raises:
            ExtractionError: with the first reason.
        """
        if len(self._failures) > self._known and not self._done:
            count, first = len(self._failures), self._failures[0].error
            raise ExtractionError(
                f"no features: {first}"
                if count == 1
                else f"no features: all {count} files failed{listed}, the first one: {first}"
            )

    def report(
        self, folder: Path, skipped: int, wall_seconds: float, profile: Profile
    ) -> RunReport:
        """Outcome of a run into a folder."""
        if not skipped:
            self.check(f" ({folder / 'failures.csv'})")
        failures = tuple(self._failures)
        return RunReport(
            *(self._done, skipped, len(failures), self._seconds, wall_seconds, failures),
            notes=dict(self._notes.most_common()),
            profile=profile.seconds,
            known=self._known,
            kept=self._kept,
        )


def _said(result: Result) -> str:
    error = result.error or ""
    return error if result.id in error else f"{result.id}: {error}"


def error_of(result: Result) -> MirfeatError:
    """A failed result of another process as the error it was there."""
    kind = getattr(errors, result.error_type or "", AudioError)
    return cast(MirfeatError, kind(result.error))


def failure_of(result: Result, size: int = -1, mtime_ns: int = -1) -> Failure:
    """A failed result as it is listed."""
    return Failure(result.id, result.error_type or "", result.error or "", size, mtime_ns)
