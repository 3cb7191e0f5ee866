"""The command ``mirfeat``: a shell over the library, and the only place that prints.

Results go to stdout, everything else to stderr. Exit codes: 0 all done, 1 some files failed,
2 usage, configuration, provenance, or the machine has no more of something, 3 checkpoint not to be
had or bad, 4 every file failed, 5 internal error, 130 interrupted, 143 by SIGTERM, 129 by SIGHUP (a
run into a folder goes on where it stopped).
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from mirfeat import interrupts
from mirfeat.cli.output import (
    ALL_FAILED,
    CHECKPOINT,
    INTERNAL,
    SOME_FAILED,
    USAGE,
    LineFormatter,
    print_json,
    results_alone,
    say_next,
    shown,
    tell,
)
from mirfeat.cli.parser import get_parser
from mirfeat.cli.streams import replace_closed_streams
from mirfeat.errors import (
    AudioError,
    CheckpointError,
    ExtractionError,
    MirfeatError,
    OptionError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files can hold what the terminal's encoding cannot.
            stream.reconfigure(errors="backslashreplace")
    parser = get_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    _set_up_messages(arguments.verbose, arguments.quiet)
    with results_alone():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        with warnings.catch_warnings(), interrupts.all_like_ctrl_c():
            # Where in the code it arose says nothing here.
            warnings.showwarning = lambda text, *_: tell(f"mirfeat: {text}")
            code = _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        tell("mirfeat: interrupted")
        return interrupts.exit_code(error)
    except BrokenPipeError:
        # Whoever read our output, `head` for one, has left. Python would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MirfeatError, OSError) as error:
        if arguments.verbose:
            _print_traceback()
        tell(f"mirfeat: {error}")
        return _exit_code(error)
    except Exception:
        _print_traceback()
        tell("mirfeat: this is a bug in mirfeat; please report the lines above")
        return INTERNAL
    return code


def _print_traceback() -> None:
    from mirfeat.audio.remote import without_secrets

    # URLs in it may hold passwords and signatures.
    print(without_secrets(traceback.format_exc()), end="", file=sys.stderr)


def _exit_code(error: Exception) -> int:
    if isinstance(error, ExtractionError):
        return ALL_FAILED
    if isinstance(error, AudioError):
        return SOME_FAILED
    return CHECKPOINT if isinstance(error, CheckpointError) else USAGE


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
        print(shown(page.path))
    wanted = not arguments.no_open if arguments.command == "demo" else arguments.open
    opened = wanted and page.open()
    if not (opened or arguments.quiet):
        tell("Open it in a browser: point, click, hear.")
    if arguments.command == "demo" and not arguments.quiet:
        say_next(
            ("mirfeat", "extract", "MUSIC", "-m", "choi2017", "-o", "feats"),
            ("mirfeat", "map", "feats", "--open"),
        )
    return 0


def _download(arguments: argparse.Namespace) -> int:
    from mirfeat.checkpoints import downloads as hub
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
                print(f"{name} {checkpoint}: ready in {hub.cache_folder()}")
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

    print(shown(report(arguments)))
    return 0


def _reproduce(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.reproduce import reproduce

    print(reproduce(arguments))
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
    print(shown(arguments.output))
    return 0


def _training(arguments: argparse.Namespace) -> int:
    from mirfeat.cli.train import run

    outcome = run(arguments)
    if not arguments.quiet:
        for note in outcome.notes:
            tell(note)
    print_json(outcome.record) if arguments.json else print(outcome.text)
    return SOME_FAILED if outcome.failed else 0


def _calibrate(arguments: argparse.Namespace) -> int:
    from mirfeat.training.calibration import calibrate

    result = calibrate(arguments.music, arguments.checkpoint, arguments.segments, arguments.seed)
    result.write(arguments.output)
    if arguments.json:
        print_json(result.record)
        return 0
    used = sum(result.record["provenance"]["segments"].values())
    reference = result.record["db_reference"]
    if not arguments.quiet:
        tell(f"{used} segments, dB reference {reference:.2f}")
    print(shown(arguments.output))
    return 0


def _set_up_messages(verbose: bool, quiet: bool) -> None:
    """Log lines as plain text on stderr."""
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("mirfeat: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("mirfeat").setLevel(level)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "info": _info,
    "extract": _extract,
    "check": _check,
    "tags": _tags,
    **dict.fromkeys(("demo", "map"), _map),
    "similar": _similar,
    "download": _download,
    "calibrate": _calibrate,
    **dict.fromkeys(("manifest", "cache", "targets", "train"), _training),
    "evaluate": _evaluate,
    "report": _report,
    "reproduce": _reproduce,
    "datasets": _datasets,
}
