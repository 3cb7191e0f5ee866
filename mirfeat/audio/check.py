"""A look at files before a run: what they announce, what lies in them, what is decoded.

The same decoding and the same rules as for features, without a network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from mirfeat.audio.addresses import Location
from mirfeat.audio.clip import ClipFacts, checked_blocks, open_clip
from mirfeat.audio.convert import Converter
from mirfeat.audio.decode import FileReader
from mirfeat.errors import AudioError, MissingPackageError

# Full scale of 16 bits; a peak or two reach it in any loud recording, clipping does much oftener.
_FULL_SCALE, _CLIPPED_SHARE = 32767 / 32768, 1e-4


@dataclass(frozen=True)
class Finding:
    """What was found of one file. Lengths in seconds, None where nobody says.

    ``digest`` is that of the decoded samples: equal for equal audio, whatever the tags.
    """

    path: str
    container: str = ""
    announced: float | None = None
    found: float | None = None
    decoded: float | None = None
    sample_rate: int = 0
    channels: int = 0
    notes: tuple[str, ...] = ()
    error: str | None = None
    digest: str = ""


def check_files(files: Sequence[Location], workers: int) -> Iterator[Finding]:
    """One finding for each file, in order; files of the same audio name the first of them."""
    first: dict[str, str] = {}
    with ThreadPoolExecutor(workers) as threads:
        for finding in threads.map(check_file, files):
            if finding.digest and (known := first.setdefault(finding.digest, finding.path)) != (
                finding.path
            ):
                note = f"same audio as {known}"
                yield replace(finding, notes=(*finding.notes, note))
            else:
                yield finding


def check_file(file: Location) -> Finding:
    """Decode a file to its end; an error of the file is part of what was found."""
    finding = Finding(str(file))
    try:
        with open_clip(file, None) as reader:
            assert isinstance(reader, FileReader)
            finding = replace(
                finding,
                container=reader.account.container or "other",
                announced=reader.announced,
                found=reader.account.found,
                sample_rate=reader.sample_rate,
                channels=reader.channels,
            )
            return _decoded(reader, finding)
    except (AudioError, MissingPackageError) as error:
        return replace(finding, error=str(error).removeprefix(f"{file}: "))


def _decoded(reader: FileReader, finding: Finding) -> Finding:
    facts, clipped, samples = ClipFacts(), 0, 0
    converter = Converter(reader, reader.sample_rate, 1)
    hasher = hashlib.sha256(f"{reader.sample_rate} {reader.channels}".encode())
    for block in checked_blocks(reader, facts):
        hasher.update(np.ascontiguousarray(block.T).data)
        converter.convert(block)
        samples += block.size
        if facts.peak >= _FULL_SCALE:
            clipped += int((np.abs(block) >= _FULL_SCALE).sum())
    notes = ["silent"] if facts.silent else converter.notes(facts.peak)
    if clipped > _CLIPPED_SHARE * samples:
        notes.append(f"clipped: {clipped / samples:.2%} of samples at full scale")
    notes += reader.notes
    return replace(finding, decoded=facts.seconds, notes=tuple(notes), digest=hasher.hexdigest())


def as_table(findings: Iterable[Finding]) -> str:
    """Lines for people: lengths, container, path, and what is to be said of it."""
    rows: list[tuple[str, ...]] = [("announced", "found", "decoded", "container", "file")]
    for finding in findings:
        lengths = [finding.announced, finding.found, finding.decoded]
        shown = ["-" if seconds is None else f"{seconds:.2f}" for seconds in lengths]
        remarks = [f"failed: {finding.error}"] if finding.error else list(finding.notes)
        rows.append((*shown, finding.container or "-", finding.path))
        rows += [("", "", "", "", f"  {remark}") for remark in remarks]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(
            cell.rjust(width) if column < 3 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        )
        + f"  {row[4]}"
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
