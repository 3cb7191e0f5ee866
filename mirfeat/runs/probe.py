"""Files that a run had in hand when its process ended: which of them end any process.

A decoder is a C library, and what it does to a process no exception reports. So these files are
decoded once more, one by one, in a process of their own; one that ends it is at fault. A run that
was killed from outside, or lost its power, leaves files that decode well.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from os import PathLike, fspath

from mirfeat.audio.addresses import located
from mirfeat.audio.clip import ClipFacts, checked_blocks, open_clip

# From here on Windows reports that a process was ended for what it did.
_WINDOWS_FAULTS = 0xC000_0000
# Of these somebody else is the sender, who means the run.
_FROM_OUTSIDE = ("SIGINT", "SIGTERM", "SIGHUP")


def killers(
    sources: Sequence[str | PathLike[str]], max_seconds: float | None
) -> Iterator[tuple[int, str]]:
    """Index of each source that ends a process which decodes it, and by which signal."""
    start = 0
    while start < len(sources):
        done, ending = _decoded(sources[start:], max_seconds)
        if done == len(sources) - start:
            return
        if not (name := _fault(ending)):
            return  # it cannot work here, or was told to end: nobody is blamed
        yield start + done, name
        start += done + 1


def _decoded(sources: Sequence[str | PathLike[str]], max_seconds: float | None) -> tuple[int, int]:
    """How many sources a process decodes before it ends, and its exit code."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(max_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        done = 0
        try:
            for source in sources:
                with suppress(BrokenPipeError):
                    # Not an argument: everybody on the machine can read those.
                    process.stdin.write(json.dumps(fspath(source)).encode() + b"\n")
                    process.stdin.flush()
                if not process.stdout.readline():
                    break
                done += 1
        except BaseException:
            process.kill()
            raise
        with suppress(BrokenPipeError):
            process.stdin.close()
        return done, process.wait()


def _fault(code: int) -> str:
    """Name of the signal that ended a process for what it did; empty for any other end."""
    if code < 0:
        name = signal.Signals(-code).name
        return "" if name in _FROM_OUTSIDE else name
    return f"exception {code:#x}" if code >= _WINDOWS_FAULTS else ""


def main() -> None:
    """Decode what is named on standard input, a source a line; say so after each."""
    max_seconds = json.loads(sys.argv[1])
    for line in sys.stdin.buffer:
        # Whatever it raises, the run will raise too, and list it.
        with suppress(Exception), open_clip(located(json.loads(line)), max_seconds) as reader:
            for _ in checked_blocks(reader, ClipFacts()):
                pass
        print("done", flush=True)  # noqa: T201 - the answer to the process that asked


if __name__ == "__main__":
    main()
