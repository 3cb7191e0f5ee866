"""The configurations of the open weights, with a folder's paths.

Usage::

    python open_weights/configurations.py FOLDER [--steps 4]

Writes ``FOLDER/configurations/NAME.toml`` for each ``open_weights/open/NAME.toml``: what those look
for in a folder `open` beside the repository is looked for in FOLDER. With ``--steps`` every run has
at most so many, on small batches: a try of the whole way, which teaches nothing.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

if not __package__:  # started as a script: the folder above holds the package `open_weights`
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mirfeat.files import replacing

OPEN = Path(__file__).with_name("open")
SOMEWHERE = "../../../open/"  # as the configurations name the folder
SMALL_BATCH = 4


def configuration(text: str, folder: Path, steps: int | None) -> str:
    """A configuration's text for ``folder``, with at most ``steps``."""
    text = text.replace(f'"{SOMEWHERE}', f'"{folder.as_posix()}/')
    if steps is not None:
        for key, value in (("steps", steps), ("every", steps), ("warmup", 1)):
            text = re.sub(rf"^{key} = \d+$", f"{key} = {value}", text, flags=re.MULTILINE)
        text = re.sub(r"^batch = \d+$", f"batch = {SMALL_BATCH}", text, flags=re.MULTILINE)
    return text


def write_configurations(folder: Path, steps: int | None = None) -> list[Path]:
    """Write them all; their paths. What is there as it would be written is left alone."""
    target = folder.resolve() / "configurations"
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted(OPEN.glob("*.toml")):
        path = target / source.name
        text = configuration(source.read_text(encoding="utf-8"), folder.resolve(), steps)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, help="at most so many a run, on small batches")
    args = parser.parse_args()
    for path in write_configurations(args.folder, args.steps):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
