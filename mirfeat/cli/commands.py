"""What each command does; a shell over the library."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirfeat.cli.output import (
    SOME_FAILED,
    print_json,
    printable,
    shown_progress,
    tell,
)
from mirfeat.errors import (
    OptionError,
)


def _load(arguments: argparse.Namespace) -> Any:
    from mirfeat.cli.extract import loading_options  # torch: not for --help
    from mirfeat.loading import load_extractor

    return load_extractor(arguments.extractor, **loading_options(arguments))


def _list(arguments: argparse.Namespace) -> int:
    from mirfeat.checkpoints.info import describe
    from mirfeat.cli.describe import as_line
    from mirfeat.networks.registry import get_spec, list_extractors

    records = [describe(get_spec(name)) for name in list_extractors(arguments.pattern)]
    if not records:
        raise OptionError(f"no extractor matches {arguments.pattern!r}. All names: mirfeat list")
    width = max(len(record["name"]) for record in records)
    if arguments.json:
        print_json(records)
    else:
        print("\n".join(as_line(record, width) for record in records))
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from mirfeat.checkpoints.info import describe, describe_loaded
    from mirfeat.cli.describe import as_text
    from mirfeat.loading import load_extractor
    from mirfeat.networks.registry import get_spec

    spec = get_spec(arguments.name)
    record = describe(spec)
    if arguments.checkpoint or not spec.has_weights:
        with load_extractor(spec.name, checkpoint=arguments.checkpoint) as extractor:
            record |= describe_loaded(extractor)
    if arguments.json:
        print_json(record)
    else:
        print(as_text(record))
    return 0


def _extract(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.extract import extract

    return extract(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.check import check

    text, code = check(arguments)
    if text:
        print(text)
    return code


def _tags(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.tags import tags

    with _load(arguments) as extractor:
        return tags(extractor, arguments)


def _similar(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.similar import similar

    print(similar(arguments))
    return 0


def _map(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.map import demo, map_store

    page = (demo if arguments.command == "demo" else map_store)(arguments)
    if arguments.json:
        print_json({"page": str(page.path), "store": str(page.store), "clips": page.count})
    else:
        print(printable(page.path))
    wanted = not arguments.no_open if arguments.command == "demo" else arguments.open
    opened = wanted and page.open()
    if not (opened or arguments.quiet):
        tell("Open it in a browser: point, click, hear.")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.export import export

    return export(arguments)


def _download(arguments: argparse.Namespace) -> int:
    from mirfeat.checkpoints import downloads
    from mirfeat.checkpoints.sources import load_weights
    from mirfeat.networks.registry import get_spec, list_extractors

    if arguments.all == bool(arguments.names):
        raise OptionError("download: name extractors, or say --all.")
    ready = []
    for name in arguments.names or list_extractors():
        spec = get_spec(name)
        published = [checkpoint.name for checkpoint in spec.checkpoints]
        wanted = [arguments.checkpoint] if arguments.checkpoint else published
        if not wanted and arguments.names and not arguments.quiet:
            tell(f"{name}: nothing to download")
        for checkpoint in wanted:
            load_weights(spec, checkpoint)
            ready.append({"extractor": name, "checkpoint": checkpoint})
            if not arguments.json:
                print(f"{name} {checkpoint}: ready in {downloads.cache_folder()}")
    if arguments.json:
        print_json(ready)
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.evaluate import run
    from mirfeat.evaluation.text import as_text

    evaluation = run(arguments)
    if arguments.json:
        print_json(evaluation.to_dict())
    else:
        print(as_text(evaluation))
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.report import report

    _say_page(report(arguments), arguments.json)
    return 0


def _say_page(page: Path, as_json: bool) -> None:
    if as_json:
        print_json({"page": str(page), "results": str(page.with_suffix(".json"))})
    else:
        print(printable(page))


def _reproduce(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.reproduce import reproduce

    _say_page(reproduce(arguments), arguments.json)
    return 0


def _datasets(arguments: argparse.Namespace) -> int:
    from mirfeat.evaluation.datasets import text, write_labels

    if not (arguments.folder or arguments.output):
        records, page = text.describe(arguments.name)
        print_json(records) if arguments.json else print(page)
        return 0
    if not (arguments.folder and arguments.output):
        raise OptionError("datasets: to write labels say NAME FOLDER -o FILE.csv.")
    options = {"target": arguments.target, "use_package": arguments.package}
    table = write_labels(arguments.name, arguments.folder, arguments.output, **options)
    if not arguments.quiet:
        tell(f"{len(table)} clips")
    if arguments.json:
        print_json({"file": str(arguments.output), "clips": len(table)})
    else:
        print(printable(arguments.output))
    return 0


def _training(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.train import run

    outcome = run(arguments)
    if not arguments.quiet:
        for note in outcome.notes:
            tell(note)
    print_json(outcome.record) if arguments.json else print(outcome.text)
    return SOME_FAILED if outcome.failed else 0


def _completion(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.completion import script

    text = script(arguments.shell)
    print_json({"shell": arguments.shell, "script": text}) if arguments.json else print(text)
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    from mirfeat.training.calibration import calibrate

    choices = (arguments.checkpoint, arguments.segments, arguments.seed)
    result = calibrate(arguments.music, *choices, progress=shown_progress(arguments))
    result.write(arguments.output)
    if arguments.json:
        print_json(result.record)
        return 0
    used = sum(result.record["provenance"]["segments"].values())
    reference = result.record["db_reference"]
    if not arguments.quiet:
        tell(f"{used} segments, dB reference {reference:.2f}")
    print(printable(arguments.output))
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "info": _info,
    "extract": _extract,
    "check": _check,
    "tags": _tags,
    **dict.fromkeys(("demo", "map"), _map),
    "similar": _similar,
    "export": _export,
    "download": _download,
    "calibrate": _calibrate,
    "completion": _completion,
    **dict.fromkeys(("manifest", "cache", "targets", "train", "study"), _training),
    "evaluate": _evaluate,
    "report": _report,
    "reproduce": _reproduce,
    "datasets": _datasets,
}
