"""Which extractor to take: tables in README and docs/open_weights.md, from what was measured.

    python -m benchmarks.which_one                       # write the tables anew
    python -m benchmarks.which_one --agreement FILE.json # take in what teacher_agreement measured
    python -m benchmarks.which_one --speed               # time all extractors

Scores and seconds are kept in ``which_one.json`` beside this file; numbers, size and licence are
those of the package as it is, and the sentence is the extractor's own ``take_if``. So a table is
never older than the weights in its other columns, and a test holds that the documents have it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mirfeat
from benchmarks.tables import excerpt_loop
from mirfeat.checkpoints.downloads import packaged
from mirfeat.files import replacing
from mirfeat.networks.registry import get_spec

ROOT = Path(__file__).parents[1]
KEPT = Path(__file__).with_name("which_one.json")
FEW = ("choi2017", "kim2018-mtn", "kim2019-ms-cr-2", "kim2019-ms-sr-fc", "mfcc")
# Of the scores of ``teacher_agreement``: what a column is called.
SCORES = {
    "instruments": "instruments",
    "musicnn/tags": "musicnn's tags",
    "mn04/embedding": "mn04's numbers",
}
BEGIN, END = "<!-- which one: benchmarks/which_one.py -->", "<!-- which one ends -->"
CLIP_SECONDS, ROUNDS = 30.0, 5

Kept = dict[str, dict[str, Any]]


def licence_of(record: Mapping[str, Any]) -> str:
    """Licence of the default weights, shortly; of an extractor without any that of the library."""
    kinds = [checkpoint for checkpoint in record["checkpoints"] if checkpoint.get("licence")]
    return str(kinds[0]["licence"]).partition(" ")[0] if kinds else "Apache-2.0"


def size_of(record: Mapping[str, Any]) -> str:
    """Megabytes of the default weights; none where they are drawn, or there are none."""
    spec = get_spec(record["name"])
    if (path := packaged(spec.checkpoint_of or spec.name)) is not None:
        return f"{path.stat().st_size / 1e6:.1f}"
    sizes = [c["size_bytes"] for c in record["checkpoints"] if "size_bytes" in c]
    return f"{sizes[0] / 1e6:.1f}" if sizes else "none"


def cells_of(name: str, kept: Kept, *, whole: bool) -> list[str]:
    """A row: without and with speed, size and licence."""
    record, measured = mirfeat.info(name), kept.get(name, {})
    scores = measured.get("scores", {})
    cells = [f"`{name}`", record["take_if"], str(record["dimension"])]
    cells += [f"{scores[key]:.3f}" if key in scores else "" for key in SCORES]
    seconds = measured.get("seconds")
    cells.append(f"{1000 * seconds:.0f} ms" if seconds else "")
    return [*cells, size_of(record), licence_of(record)] if whole else cells


def table(names: Iterable[str], kept: Kept, *, whole: bool) -> str:
    """A Markdown table of extractors."""
    header = ["take", "if", "numbers", *SCORES.values(), "30 s take"]
    header += ["MB", "licence"] if whole else []
    rows = [header, *(cells_of(name, kept, whole=whole) for name in names)]
    lines = ["|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def with_table(text: str, made: str) -> str:
    """A document with the table between its marks replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"no {BEGIN} … {END} in the document.")
    return f"{before}{begin}\n\n{made}\n\n{end}{after}"


def documents(kept: Kept) -> dict[Path, str]:
    """Each document as it should be."""
    every: Sequence[str] = mirfeat.list_extractors()
    made = {"README.md": table(FEW, kept, whole=False)}
    made["docs/open_weights.md"] = table(every, kept, whole=True)
    paths = {ROOT / name: text for name, text in made.items()}
    return {path: with_table(path.read_text(encoding="utf-8"), t) for path, t in paths.items()}


def seconds_of(name: str) -> float:
    """Least time of a clip of 30 s in memory, after a first one; of drawn weights if need be."""
    samples = excerpt_loop(CLIP_SECONDS, 44_100).T.copy()
    spec = get_spec(name)
    drawn = spec.has_weights and packaged(spec.checkpoint_of or name) is None
    with mirfeat.load_extractor(name, checkpoint="random" if drawn else None) as extractor:
        times = []
        for _ in range(ROUNDS + 1):
            begun = time.perf_counter()
            extractor.extract(samples, 44_100)
            times.append(time.perf_counter() - begun)
    return min(times[1:])


def take_in(kept: Kept, agreement: Mapping[str, Any]) -> None:
    """Scores of the open weights, and of extractors that have none, from ``teacher_agreement``."""
    for entry in agreement.values():
        if entry["checkpoint"] in ("", "open"):
            scores = {key: entry["scores"][key] for key in SCORES if key in entry["scores"]}
            kept.setdefault(entry["extractor"], {})["scores"] = scores


def main() -> None:
    """Take in, time, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.which_one")
    parser.add_argument("--agreement", type=Path, nargs="+", default=())
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    kept: Kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for path in options.agreement:
        take_in(kept, json.loads(path.read_text()))
    if options.speed:
        for name in mirfeat.list_extractors():
            kept.setdefault(name, {})["seconds"] = round(seconds_of(name), 4)
    ordered = {name: kept[name] for name in mirfeat.list_extractors() if name in kept}
    KEPT.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    for path, text in documents(ordered).items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
