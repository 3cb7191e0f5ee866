"""The command ``mirfeat tags``: what the network hears in a file, and when."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mirfeat.cli.output import ALL_FAILED, SOME_FAILED, print_json, printable, tell
from mirfeat.errors import AudioError, MissingPackageError
from mirfeat.extractor import Extractor
from mirfeat.files import replacing


def tags(extractor: Extractor, arguments: argparse.Namespace) -> int:
    """Print the tags of each file, and draw them over time where asked to; the exit code."""
    failed, records = 0, {}
    for path in arguments.files:
        try:
            found = extractor.tags(path, top=arguments.top, unheard=arguments.unheard)
        except (AudioError, MissingPackageError) as error:
            failed += 1
            tell(f"failed: {error}")
            continue
        records[str(path)] = {tag.name: round(tag.probability, 4) for tag in found}
        if not arguments.json:
            print(printable(path))
            for name, probability in found:
                print(f"  {probability:5.3f} {'#' * round(40 * probability):40} {name}")
        if arguments.plot:
            picture = _plot(extractor, path, arguments)
            print(printable(picture), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print_json(records)
    if failed:
        return ALL_FAILED if failed == len(arguments.files) else SOME_FAILED
    return 0


def _plot(extractor: Extractor, path: str, arguments: argparse.Namespace) -> Path:
    """Draw one file; where the picture is."""
    from mirfeat.explore.taggram import taggram  # matplotlib: only for those who draw

    title = Path(path).name
    drawing = taggram(
        extractor, path, top=arguments.top, hop_seconds=arguments.hop_seconds, title=title
    )
    picture = Path(arguments.plot_folder) / f"{Path(path).stem}.tags.png"
    with replacing(picture) as temporary:
        temporary.write_bytes(drawing.png())
    return picture
