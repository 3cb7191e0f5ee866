"""The command ``mirfeat similar``: the clips of a store that are most like a song."""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mirfeat.audio.addresses import is_url
from mirfeat.cli.output import shown_progress
from mirfeat.errors import OptionError
from mirfeat.explore.kept_index import open_index
from mirfeat.explore.neighbours import NearClip, Neighbours
from mirfeat.files import readable, replacing
from mirfeat.provenance import Provenance
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo

logger = logging.getLogger("mirfeat")

# From here on an exact answer takes more than a second.
_MANY = 200_000


class Answer(NamedTuple):
    """A query and the clips nearest to it."""

    query: str
    near: Sequence[NearClip]


def similar(arguments: argparse.Namespace) -> str:
    """What to print: the answers, or the file they were written to.

    Raises:
        OptionError: a query that is neither a file nor in the store.
    """
    info, index = StoreInfo.read(arguments.store), _index(arguments)
    answers = list(_answers(arguments, info.provenance, index))
    kind = "json" if arguments.json else arguments.format
    text = _WRITERS[kind](answers, index, str(arguments.root or info.root))
    if arguments.output is None:
        return text.rstrip("\n")
    with replacing(arguments.output) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    return str(arguments.output)


def _index(arguments: argparse.Namespace) -> Neighbours:
    if arguments.approximate:
        return open_index(arguments.store, arguments.metric, progress=shown_progress(arguments))
    table = load_features(arguments.store)
    if len(table) >= _MANY:
        logger.warning(
            "%s: each query is compared with all %d clips; --approximate keeps an index that "
            "answers at once",
            readable(arguments.store),
            len(table),
        )
    return Neighbours(table, arguments.metric)


def _answers(
    arguments: argparse.Namespace, provenance: Provenance, index: Neighbours
) -> Iterator[Answer]:
    files = [query for query in arguments.queries if query not in index]
    for query in files:
        if not (is_url(query) or Path(query).exists()):
            raise OptionError(
                f"{query}: neither a file nor the id of a clip in {arguments.store}, whose "
                f"{len(index)} ids are like {index.ids[0]!r}."
            )
    vectors = {}
    if files:
        from mirfeat.explore.same_way import load_same  # with PyTorch, which ids do not need

        with load_same(provenance, arguments.checkpoint, device=arguments.device) as extractor:
            vectors = {query: extractor.extract_file(query) for query in files}
    for query in arguments.queries:
        if query in index:
            yield Answer(query, index.nearest_to(query, arguments.top))
        else:
            yield Answer(query, index.nearest(vectors[query], arguments.top))


def _as_text(answers: Sequence[Answer], index: Neighbours, root: str) -> str:
    lines = []
    cosine = index.metric == "cosine"
    name = "cosine similarity" if cosine else "L1 distance"
    name += ", approximate search" if index.approximate else ""
    for query, near in answers:
        lines.append(f"{query}   ({name})")
        for id, value in near:
            lines.append(f"  {value:6.3f}  {id}" if cosine else f"  {value:8.2f}  {id}")
    return "\n".join(lines) + "\n"


def _measure(index: Neighbours) -> str:
    """What a number is, as columns and keys are called."""
    return "similarity" if index.metric == "cosine" else "distance"


def _as_csv(answers: Sequence[Answer], index: Neighbours, root: str) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("query", "rank", "id", _measure(index)))
    for query, near in answers:
        writer.writerows((query, rank, id, f"{v:.6g}") for rank, (id, v) in enumerate(near, 1))
    return buffer.getvalue()


def _as_json(answers: Sequence[Answer], index: Neighbours, root: str) -> str:
    name = _measure(index)
    record = [
        {
            "query": query,
            "approximate": index.approximate,
            "near": [{"id": id, name: round(value, 6)} for id, value in near],
        }
        for query, near in answers
    ]
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def _as_m3u(answers: Sequence[Answer], index: Neighbours, root: str) -> str:
    """A playlist: every query's neighbours in turn, each file once."""
    ids = dict.fromkeys(id for _, near in answers for id, _ in near)
    lines = ["#EXTM3U"]
    for id in ids:
        lines += [f"#EXTINF:-1,{os.path.basename(id)}", f"{root.rstrip('/')}/{id}"]
    return "\n".join(lines) + "\n"


_WRITERS = {"text": _as_text, "csv": _as_csv, "json": _as_json, "m3u": _as_m3u}
