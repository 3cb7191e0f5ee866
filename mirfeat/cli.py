"""The command ``mirfeat``: a shell over the library, and the only place that prints.

Results go to stdout, everything else to stderr. Exit codes: 0 all done, 1 some files failed,
2 usage, configuration or provenance, 3 checkpoint not to be had or bad, 4 every file failed,
130 interrupted (a run into a folder goes on where it stopped).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mirfeat import __version__
from mirfeat.errors import (
    AudioError,
    CheckpointError,
    ExtractionError,
    MirfeatError,
    MissingPackageError,
)

SOME_FAILED, USAGE, CHECKPOINT, ALL_FAILED, INTERRUPTED = 1, 2, 3, 4, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    arguments = get_parser().parse_args(argv)
    _set_up_messages(arguments.verbose, arguments.quiet)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except MirfeatError as error:
        print(f"mirfeat: {error}", file=sys.stderr)
        return _exit_code(error)


def _exit_code(error: MirfeatError) -> int:
    if isinstance(error, ExtractionError):
        return ALL_FAILED
    if isinstance(error, AudioError):
        return SOME_FAILED
    return CHECKPOINT if isinstance(error, CheckpointError | MissingPackageError) else USAGE


def get_parser() -> argparse.ArgumentParser:
    """Parser of all commands."""
    parser = argparse.ArgumentParser(prog="mirfeat", description="Feature vectors from music.")
    parser.add_argument("--version", action="version", version=f"mirfeat {__version__}")

    def show_help(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(command=show_help, verbose=False, quiet=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("-v", "--verbose", action="store_true", help="say more on stderr")
        command.add_argument("-q", "--quiet", action="store_true", help="errors only")
        command.add_argument("--json", action="store_true", help="results as JSON")
        command.set_defaults(command=run)
        return command

    command = add("list", _list, "Names of all extractors with what they return.")
    command.add_argument("pattern", nargs="?", default="*", help="shell-style, e.g. 'kim2019-*'")
    command = add("info", _info, "Everything about one extractor.")
    command.add_argument("name")
    _add_extract(add("extract", _extract, "Feature vectors of files and folders."))
    command = add("tags", _tags, "The most probable tags of a file.")
    command.add_argument("files", nargs="+", metavar="FILE", type=Path)
    command.add_argument("-m", "--extractor", default="choi2017")
    command.add_argument("--top", type=int, default=10)
    _add_loading(command)
    command = add("download", _download, "Fill the cache folder for offline use.")
    command.add_argument("names", nargs="+", metavar="NAME")
    command.add_argument("--checkpoint", help="default: every published one")
    command = add("calibrate", _calibrate, "Batch-norm statistics for choi2017 from your music.")
    command.add_argument("music", nargs="+", help="folders or files; each an equal share")
    command.add_argument("-o", "--output", type=Path, required=True, help=".safetensors or .json")
    command.add_argument("--checkpoint", default="msd")
    command.add_argument("--segments", type=int, default=400, help="of 29 s, in all")
    command.add_argument("--seed", type=int, default=0)
    return parser


def _add_extract(command: Any) -> None:
    command.add_argument("inputs", nargs="+", metavar="INPUT", help="file, folder or @list.txt")
    command.add_argument("-m", "--extractor", required=True, help="see 'mirfeat list'")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--format", choices=("csv", "parquet", "npz", "npy"), default="csv")
    command.add_argument("--embed", action="store_true", help="all rows of a clip (npz, npy)")
    command.add_argument("--root", help="what ids are relative to; default: the common folder")
    command.add_argument("--no-recursive", action="store_true", help="folders: top level only")
    command.add_argument("--overwrite", action="store_true", help="discard what is in DIR")
    command.add_argument("--on-error", choices=("record", "raise"), default="record")
    command.add_argument("--workers", type=int, help="decoding threads")
    _add_loading(command)


def _add_loading(command: Any) -> None:
    command.add_argument("--checkpoint", help="open, random[:SEED], a published one, or a file")
    command.add_argument("--layers", help="choi2017, e.g. 135")
    command.add_argument("--statistics", help="mean,std (default), mean, std or paper")
    command.add_argument("--batch-norm", choices=("population", "clip"), help="choi2017")
    command.add_argument("--hop-seconds", type=float)
    command.add_argument("--max-seconds", type=float, help="use only the start of each clip")
    command.add_argument("--short", choices=("tile", "error"), default="tile")
    command.add_argument("--device", default="auto")
    command.add_argument("--batch-size", type=int)


def _load(arguments: argparse.Namespace) -> Any:
    from mirfeat.loading import load_extractor  # torch: not for --help

    names = ("checkpoint", "layers", "batch_norm", "hop_seconds", "max_seconds", "short", "device")
    options = {name: getattr(arguments, name) for name in (*names, "batch_size")}
    if arguments.statistics is not None:
        chosen = arguments.statistics
        options["statistics"] = chosen if chosen == "paper" else chosen.split(",")
    return load_extractor(arguments.extractor, **options)


def _list(arguments: argparse.Namespace) -> int:
    from mirfeat.registry import get_spec, list_extractors

    specs = [get_spec(name) for name in list_extractors(arguments.pattern)]
    if arguments.json:
        _print_json([_describe(spec) for spec in specs])
        return 0
    width = max((len(spec.name) for spec in specs), default=0)
    for spec in specs:
        rate, seconds = spec.mel.sample_rate, spec.segment.samples / spec.mel.sample_rate
        print(f"{spec.name:{width}}  {rate:6d} Hz  {seconds:4.1f} s segments  {spec.summary}")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from mirfeat.registry import get_spec

    record = _describe(get_spec(arguments.name))
    if arguments.json:
        _print_json(record)
        return 0
    for key, value in record.items():
        if key == "bibtex":
            print(f"\n{value}")
        elif isinstance(value, list):
            print(f"{key}:")
            for item in value:
                print("\n".join(f"    {name}: {text}" for name, text in item.items()), end="\n\n")
        else:
            print(f"{key}: {value}")
    return 0


def _describe(spec: Any) -> dict[str, Any]:
    from mirfeat import hub

    checkpoints = [{"name": "open", "in": "the package"}] if hub.packaged(spec.name) else []
    checkpoints += [
        {
            "name": item.name,
            "licence": item.licence,
            "training_data": item.training_data,
            "size_bytes": item.size_bytes,
            "sha256": item.sha256,
            "address": item.location,
            "note": item.note,
        }
        for item in spec.checkpoints
    ]
    if spec.has_weights:
        checkpoints.append({"name": "random[:SEED]", "note": "untrained"})
    return {
        "name": spec.name,
        "summary": spec.summary,
        "version": spec.version,
        "sample_rate": spec.mel.sample_rate,
        "channels": spec.mel.channels,
        "segment_seconds": spec.segment.samples / spec.mel.sample_rate,
        "hop_seconds": spec.segment.hop_samples / spec.mel.sample_rate,
        "min_seconds": spec.segment.min_samples / spec.mel.sample_rate,
        "options": ", ".join(f"{name}={value}" for name, value in spec.options.items()) or "none",
        "paper": spec.paper.citation,
        "url": spec.paper.url,
        "checkpoints": checkpoints,
        "bibtex": spec.paper.bibtex,
    }


def _extract(arguments: argparse.Namespace) -> int:
    from mirfeat.collection import find_audio

    # Cheap checks before the network is loaded.
    paths = find_audio(arguments.inputs, recursive=not arguments.no_recursive)
    with _load(arguments) as extractor:
        report = extractor.extract_to(
            arguments.output,
            paths,
            format=arguments.format,
            embed=arguments.embed,
            root=arguments.root,
            overwrite=arguments.overwrite,
            on_error=arguments.on_error,
            workers=arguments.workers,
            progress=False if arguments.quiet else None,
        )
        dimension = extractor.dimension
    if arguments.json:
        _print_json({**vars(report), "failures": [vars(item) for item in report.failures]})
    elif not arguments.quiet:
        _summarise(report, arguments.output, dimension)
    return SOME_FAILED if report.failed else 0


def _summarise(report: Any, folder: Path, dimension: int) -> None:
    for failure in report.failures:
        print(f"failed: {failure.id}: {failure.error}", file=sys.stderr)
    parts = [f"{report.done} done ({dimension} numbers each)"]
    if report.skipped:
        parts.append(f"{report.skipped} were there already")
    if report.failed:
        parts.append(f"{report.failed} failed ({folder / 'failures.csv'})")
    audio, wall = report.audio_seconds, report.wall_seconds
    parts.append(f"{audio / 60:.1f} min of audio in {wall:.1f} s")
    print(", ".join(parts), file=sys.stderr)
    print(folder)


def _tags(arguments: argparse.Namespace) -> int:
    failed, records = 0, {}
    with _load(arguments) as extractor:
        for path in arguments.files:
            try:
                tags = extractor.tags(path, top=arguments.top)
            except AudioError as error:
                failed += 1
                print(f"failed: {error}", file=sys.stderr)
                continue
            records[str(path)] = {tag.name: round(tag.probability, 4) for tag in tags}
            if not arguments.json:
                print(path)
                for tag in tags:
                    print(
                        f"  {tag.probability:5.3f} {'#' * round(40 * tag.probability):40} {tag.name}"
                    )
    if arguments.json:
        _print_json(records)
    if failed:
        return ALL_FAILED if failed == len(arguments.files) else SOME_FAILED
    return 0


def _download(arguments: argparse.Namespace) -> int:
    from mirfeat import hub
    from mirfeat.registry import get_spec
    from mirfeat.weight_sources import load_weights

    for name in arguments.names:
        spec = get_spec(name)
        wanted = (
            [arguments.checkpoint] if arguments.checkpoint else [c.name for c in spec.checkpoints]
        )
        if not wanted and not arguments.quiet:
            print(f"{name}: nothing to download", file=sys.stderr)
        for checkpoint in wanted:
            load_weights(spec, checkpoint)
            print(f"{name} {checkpoint}: ready in {hub.cache_folder()}")
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    from mirfeat.calibration import calibrate

    result = calibrate(arguments.music, arguments.checkpoint, arguments.segments, arguments.seed)
    result.write(arguments.output)
    if arguments.json:
        _print_json(result.record)
        return 0
    used = sum(result.record["provenance"]["segments"].values())
    reference = result.record["db_reference"]
    print(f"{used} segments, dB reference {reference:.2f}", file=sys.stderr)
    print(arguments.output)
    return 0


def _print_json(record: Any) -> None:
    print(json.dumps(record, indent=1, ensure_ascii=False))


def _set_up_messages(verbose: bool, quiet: bool) -> None:
    """Log lines and warnings as plain text on stderr."""
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(format="mirfeat: %(message)s", stream=sys.stderr)
    logging.getLogger("mirfeat").setLevel(level)
    warnings.formatwarning = lambda message, *_, **__: f"mirfeat: {message}\n"
