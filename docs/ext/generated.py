"""Pages that are written from the code when the site is built: commands, model cards, words, errors."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mirfeat import errors
from mirfeat.checkpoints.info import info
from mirfeat.cli.parser import get_parser
from mirfeat.networks.checkpoint import read_record
from mirfeat.checkpoints.downloads import packaged
from mirfeat.networks.musicnn import MSD_TAGS, MTT_TAGS
from mirfeat.networks.registry import list_extractors

GENERATED = "generated"


def pages() -> dict[str, str]:
    """Text of each page by its name."""
    every = {"commands": "\n".join(_commands()), "vocabularies": "\n".join(_vocabularies())}
    every["errors"] = "\n".join(_errors())
    every["models"] = "\n".join(_models())
    every |= {f"models/{name}": "\n".join(_card(info(name))) for name in list_extractors()}
    return every


def write(app: Any) -> None:
    """Write those that have changed, so that a second build is quick."""
    for name, text in pages().items():
        page = Path(app.srcdir) / GENERATED / f"{name}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _choices(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def _commands() -> Iterator[str]:
    parser = get_parser()
    yield from ["# Commands", "", *_block(parser)]
    for name, command in _choices(parser).items():
        yield from [f"## mirfeat {name}", "", *_block(command)]
        for inner, protocol in _choices(command).items():
            yield from [f"### mirfeat {name} {inner}", "", *_block(protocol)]


def _block(parser: argparse.ArgumentParser) -> list[str]:
    return ["```text", parser.format_help().rstrip(), "```", ""]


def _models() -> Iterator[str]:
    yield from ["# Model cards", "", "One for each extractor, written from its record and that of"]
    yield from ["its weights. `mirfeat info NAME` prints the same.", ""]
    yield from ["| extractor | numbers | segment | weights in the package | for |", "|---|---|---|---|---|"]
    for name in list_extractors():
        record = info(name)
        names = [checkpoint["name"] for checkpoint in record["checkpoints"]]
        weights = "yes" if "open" in names else "needs none" if not names else "no"
        seconds = f"{record['segment_seconds']:.3g} s"
        row = (f"[{name}](models/{name}.md)", record["dimension"], seconds, weights, record["summary"])
        yield f"| {' | '.join(map(str, row))} |"
    yield from ["", "```{toctree}", ":hidden:", "", *(f"models/{n}" for n in list_extractors()), "```"]


def _card(record: Mapping[str, Any]) -> Iterator[str]:
    channels = "mono" if record["channels"] == 1 else "stereo"
    blocks = ", ".join(f"{name} ({size})" for name, size in record["blocks"].items())
    yield from [f"# {record['name']}", "", f"{record['summary']}.", ""]
    yield from ["| | |", "|---|---|"]
    hop = f"{record['segment_seconds']:.3g} s every {record['hop_seconds']:.3g} s"
    rows = {
        "audio": f"{record['sample_rate']} Hz, {channels}; converted from any other",
        "segments": hop,
        "shortest clip": f"{record['min_seconds']:.2g} s",
        "a row": f"{sum(record['blocks'].values())} numbers a segment: {blocks}",
        "a vector": f"{record['dimension']} numbers: mean and standard deviation over rows",
        "of the paper": f"{record['paper_dimension'] or 'none'} numbers",
        "version": f"{record['version']}, which goes up whenever a number changes",
        "paper": f"[{record['paper']}]({record['url']})" if record["url"] else record["paper"],
    }
    yield from (f"| {key} | {value} |" for key, value in rows.items())
    yield ""
    if record["options"]:
        yield from ["## Options", "", "| option | default | |", "|---|---|---|"]
        for name, value in record["options"].items():
            yield f"| `{name}` | `{value or 'all'}` | {record['option_help'][name]} |"
        yield ""
    for checkpoint in record["checkpoints"]:
        yield from _checkpoint(record["name"], checkpoint)
    if record["bibtex"]:
        yield from ["## Cite", "", "```bibtex", record["bibtex"].strip(), "```", ""]


def _checkpoint(extractor: str, checkpoint: Mapping[str, Any]) -> Iterator[str]:
    name = checkpoint["name"]
    yield from [f"## Weights: {name}", ""]
    if note := checkpoint.get("note"):
        yield from [f"{note[0].upper()}{note[1:]}.", ""]
    if licence := checkpoint.get("licence"):
        yield from [f"**Licence:** {licence}", ""]
    if data := checkpoint.get("training_data"):
        yield from [f"**Learnt from:** {data}", ""]
    if sources := checkpoint.get("sources"):
        yield from [f"**Learning sources:** {', '.join(sources)}", ""]
    if hours := checkpoint.get("corpus", {}).get("hours_by_licence"):
        total = checkpoint["corpus"]
        said = f"{total['tracks']} tracks, {total['hours']} hours"
        yield from [f"{said} under these licences:", "", "| licence | hours |", "|---|---|"]
        yield from (f"| {key} | {value} |" for key, value in hours.items())
        yield ""
    if metrics := checkpoint.get("metrics"):
        yield from ["| measured | |", "|---|---|"]
        yield from (f"| {key} | {value} |" for key, value in metrics.items())
        yield from ["", "What these are: [open weights](../../open_weights.md).", ""]
    if checkpoint.get("size_bytes"):
        size, sha = checkpoint["size_bytes"] / 1e6, checkpoint["sha256"]
        yield from [f"{size:.1f} MB, sha256 `{sha}`.", ""]
    if "[" not in name and name != "open":
        yield from ["```", f"mirfeat download {extractor} --checkpoint {name}", "```", ""]


def _vocabularies() -> Iterator[str]:
    yield from ["# Tags and licences", ""]
    yield from ["Words that networks here can say, and under which licence their weights are.", ""]
    yield from ["## choi2017", ""]
    record = read_record(packaged("choi2017"))
    unheard = record["unheard_tags"]
    area = record["tag_reliability"]["area_under_the_curve"]
    tags = record["labels"]["tag"]
    yield from [f"With open weights it says {len(tags) - len(unheard)} of the paper's {len(tags)} tags."]
    yield from ["The number is the area under the ROC curve on held-out music (0.5 by chance), against"]
    yield from ["what its teacher says there. The others it could not learn from the music that it had;"]
    yield from ["`unheard=True`, `--unheard`, shows them too.", ""]
    yield from ["| tag | area under the curve |", "|---|---|"]
    heard = [tag for tag in tags if tag not in unheard]
    yield from (f"| {tag} | {area[tag]:.2f} |" for tag in sorted(heard, key=lambda t: -area[t]))
    yield from ["", f"Not heard: {', '.join(sorted(unheard))}.", ""]
    yield from ["With `checkpoint=\"msd\"`, the authors' weights, it says all of them.", ""]
    yield from ["## musicnn", "", "| checkpoint | tags |", "|---|---|"]
    yield f"| `msd` | {', '.join(MSD_TAGS)} |"
    yield from [f"| `mtt` | {', '.join(MTT_TAGS)} |", ""]
    yield from ["## hamel2013: labels beside music", ""]
    for name in ("hamel2013-tag", "hamel2013-genre"):
        for kind, labels in read_record(packaged(name))["labels"].items():
            yield from [f"**{name}, {kind}:** {', '.join(labels)}", ""]
    yield from ["## Licences", "", "| extractor | weights | licence |", "|---|---|---|"]
    for name in list_extractors():
        for checkpoint in info(name)["checkpoints"]:
            if licence := checkpoint.get("licence"):
                yield f"| {name} | `{checkpoint['name']}` | {licence} |"
    yield from ["", "mirfeat itself is under Apache-2.0. Networks of others that taught the open weights"]
    yield from ["are named in NOTICE, which comes with every copy.", ""]


def _errors() -> Iterator[str]:
    yield from ["# Errors and exit codes", "", "## Exit codes", "", "| code | |", "|---|---|"]
    codes = {
        0: "all done",
        1: "some files failed: `failures.csv` says which and why",
        2: "usage, configuration, provenance, or the machine has no more of something",
        3: "a checkpoint cannot be had, or is bad",
        4: "every file failed",
        5: "an error in mirfeat itself: please report it",
        129: "ended by SIGHUP; run again to go on",
        130: "interrupted, Ctrl-C; run again to go on",
        143: "ended by SIGTERM; run again to go on",
    }
    yield from (f"| {code} | {text} |" for code, text in codes.items())
    yield from ["", "## Errors", "", "All are in `mirfeat.errors` and derive from `MirfeatError`.", ""]
    yield from ["| error | derives from | |", "|---|---|---|"]
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, Exception):
            text = re.sub(r"\s+", " ", inspect.getdoc(kind) or "").strip()
            text = text.replace("``", "`").replace("|", "\\|")
            bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
            yield f"| `{name}` | {bases} | {text} |"
    yield ""
