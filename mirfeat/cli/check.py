"""``mirfeat check``: files before a run."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

from mirfeat.audio.check import Finding, as_table, check_files
from mirfeat.audio.collection import survey
from mirfeat.cli.output import ALL_FAILED, SOME_FAILED, print_json


def check(arguments: argparse.Namespace) -> tuple[str, int]:
    """Check the files; the table (empty with ``--json``) and the exit code."""
    files, _ = survey(arguments.inputs, recursive=not arguments.no_recursive)
    findings = list(check_files(files, arguments.workers or os.cpu_count() or 1))
    failed = sum(finding.error is not None for finding in findings)
    code = 0 if not failed else ALL_FAILED if failed == len(findings) else SOME_FAILED
    if arguments.json:
        print_json([asdict(finding) for finding in findings])
        return "", code
    shown = [f for f in findings if arguments.all or f.error or f.notes]
    return "\n".join(filter(None, [as_table(shown) if shown else "", _summary(findings)])), code


def _summary(findings: list[Finding]) -> str:
    hours = sum(finding.decoded or 0.0 for finding in findings) / 3600
    failed = sum(finding.error is not None for finding in findings)
    noted = sum(bool(finding.notes) for finding in findings)
    return f"{len(findings)} files, {hours:.2f} h decoded: {failed} failed, {noted} with a note"
