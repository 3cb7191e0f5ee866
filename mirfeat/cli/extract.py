"""The command ``mirfeat extract``: which files, where they are computed, into which folder."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mirfeat.audio.addresses import Location
from mirfeat.audio.collection import survey
from mirfeat.cli.output import SOME_FAILED, print_json, printable, shown_progress, tell
from mirfeat.errors import ExtractionError, OptionError
from mirfeat.loading import load_extractor
from mirfeat.networks.options import COMMON
from mirfeat.results.outcomes import RunReport
from mirfeat.runs.progress import duration
from mirfeat.store.jobarray import Shard
from mirfeat.store.record import check_format, is_store, read_failures

_NOT_ON_RAY = {
    "embed": "all rows of a clip are computed by a run without it",
    "shard": "Ray deals out the files itself",
    "workers": "decoding threads follow from --cpus-per-actor",
}
# More failures than a screen holds are read in failures.csv.
_SHOWN_FAILURES, _SHOWN_GONE = 20, 5
# Options of single extractors that have a flag of their own.
_OWN_FLAGS = ("layers", "sources", "batch_norm")


def loading_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of ``load_extractor`` that a command line gave.

    Raises:
        OptionError: an ``--option`` that is not NAME=VALUE, or names one twice.
    """
    names = (*(option.name for option in COMMON), *_OWN_FLAGS)
    options: dict[str, Any] = {
        name: value for name in names if (value := getattr(arguments, name, None)) is not None
    }
    for text in arguments.option or ():
        name, equals, value = text.partition("=")
        name = name.replace("-", "_")
        if not (name and equals):
            raise OptionError(f"--option {text}: write NAME=VALUE.")
        if name in options:
            raise OptionError(f"--option {text}: {name} is given twice.")
        options[name] = value
    return options


def extract(arguments: argparse.Namespace) -> int:
    """Extract what the command line says, and tell what became of it; the exit code."""
    output = arguments.output
    if arguments.shard is not None:
        output = Shard.parse(arguments.shard).folder(output)
    try:
        report = run(arguments)
    except KeyboardInterrupt:
        tell(f"what is done is in {output}; run again to go on")
        raise
    except ExtractionError:
        if arguments.json:
            failures = [vars(item) for item in read_failures(output)]
            print_json({"done": 0, "failed": len(failures), "failures": failures})
        raise
    if arguments.json:
        print_json({**vars(report), "failures": [vars(item) for item in report.failures]})
    else:
        _summarise(report, output, arguments.quiet, arguments.prune)
        if arguments.profile:
            _show_profile(report)
    # What was known before is no news: a run that is repeated every night would end in 1 for ever.
    return SOME_FAILED if report.failed > report.known else 0


def run(arguments: argparse.Namespace) -> RunReport:
    """Extract what the command line says."""
    # What is cheap to check, before the network is loaded.
    check_format(arguments.format, arguments.embed)
    shard = None if arguments.shard is None else Shard.parse(arguments.shard)
    paths, folder = survey(arguments.inputs, recursive=not arguments.no_recursive)
    root, output = arguments.root, arguments.output
    if root is None and (arguments.overwrite or not is_store(output)):
        # Not what the files share: ids should stay the same when a folder gets more of them.
        root = folder
    options = loading_options(arguments)
    settings: dict[str, Any] = {
        "format": arguments.format,
        "embed": arguments.embed,
        "root": root,
        "overwrite": arguments.overwrite,
        "shard": shard,
        "retry_failed": arguments.retry_failed,
        "prune": arguments.prune,
        "on_error": arguments.on_error,
        "workers": arguments.workers,
        "progress": shown_progress(arguments),
    }
    if arguments.ray is not None:
        return _on_ray(arguments, paths, settings, options)
    devices = options.get("device", "auto").split(",")
    if devices == ["all"] or len(devices) > 1:
        from mirfeat.distributed.devices import extract_on_devices

        options.pop("device")
        return extract_on_devices(
            paths, output, arguments.extractor, devices, **settings, **options
        )
    with load_extractor(arguments.extractor, **options) as extractor:
        return extractor.extract_to(output, paths, **settings)


def _on_ray(
    arguments: argparse.Namespace,
    paths: list[Location],
    settings: dict[str, Any],
    options: dict[str, Any],
) -> RunReport:
    from mirfeat.distributed.cluster import extract_dataset

    for name, instead in _NOT_ON_RAY.items():
        if settings.pop(name):
            raise OptionError(f"--{name} does not go together with --ray: {instead}.")
    return extract_dataset(
        paths,
        arguments.output,
        arguments.extractor,
        actors=_actors(arguments.actors),
        num_gpus=arguments.gpus_per_actor,
        cpus_per_actor=arguments.cpus_per_actor,
        address=arguments.ray,
        **settings,
        **options,
    )


def _actors(text: str | None) -> Any:
    """``4``, ``2:50`` or ``2:``, which has no upper limit."""
    match = re.fullmatch(r"(\d+)(?:(:)(\d*))?", text or "1:")
    if not match:
        raise OptionError(f"--actors {text}: write N, LEAST:MOST or LEAST:, for example 2:50.")
    least = int(match[1])
    return (least, int(match[3]) if match[3] else None) if match[2] else least


def _summarise(report: Any, folder: Path, quiet: bool, pruned: bool) -> None:
    for failure in report.failures[:_SHOWN_FAILURES]:
        known = failure.id in failure.error
        tell(f"failed: {'' if known else f'{failure.id}: '}{failure.error}")
    if (more := report.failed - _SHOWN_FAILURES) > 0:
        tell(f"failed: and {more} more")
    if quiet:
        return
    if report.gone:
        _tell_of_gone(report.gone, pruned)
    for note, times in report.notes.items():
        tell(f"note: {note} ({times} of {report.done})")
    parts = [f"{report.done} done"]
    if report.skipped:
        parts.append(f"{report.skipped} there already")
    if report.failed:
        of_them = f", {report.known} of them known before" if report.known else ""
        parts.append(f"{report.failed} failed{of_them} ({folder / 'failures.csv'})")
    if report.done:
        audio, wall = report.audio_seconds, report.wall_seconds
        parts.append(f"{duration(audio)} of audio in {duration(wall)}")
    tell(", ".join(parts))
    print(printable(folder))


def _tell_of_gone(ids: Sequence[str], pruned: bool) -> None:
    """Clips whose file was deleted or renamed."""
    names = ", ".join(ids[:_SHOWN_GONE]) + (", …" if len(ids) > _SHOWN_GONE else "")
    what = "dropped" if pruned else "left in the folder; --prune drops them"
    tell(f"gone: {len(ids)} clips have no file any more, {what}: {names}")


def _show_profile(report: Any) -> None:
    """Seconds that a run spent on what, and their share of its wall time."""
    for what, seconds in report.profile.items():
        share = seconds / max(report.wall_seconds, 1e-9)
        tell(f"{what:8} {seconds:8.1f} s {share:6.0%}")
