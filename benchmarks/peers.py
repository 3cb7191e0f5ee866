"""mirfeat and what people use instead, side by side in one run on the same clips and cores.

    python -m benchmarks.peers --environments FOLDER -o peers.md

builds the peers' environments in FOLDER (once, from the package index), makes the clips, and lets
the tools take turns, each in a process of its own. Needs ``psutil``. Tests are in
``tests/benchmarks/test_peers.py``.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import psutil

from benchmarks.peer_runs import Limits, Outcome, run
from benchmarks.peer_tables import Rounds, print_clips, print_long, print_versions
from benchmarks.peer_tools import Tool, build, select
from benchmarks.tables import excerpt_loop, print_machine, write_mp3
from mirfeat.errors import OptionError

RATE = 44_100
CLIP_SECONDS = 30.0
CAVEATS = """
- s a clip: wall time, model loaded, one clip already done. Each tool is called as its own README
  calls it, with its own numbers of threads unless --threads is given; processor seconds count all
  threads. The tools compute different things: the table is about the time to each tool's usual
  vector, not about its worth.
- Cold start: from the start of the process to the vector of the first clip, files in the cache of
  the system. Weights come from the disk or, where the remarks say random, from a generator;
  panns_inference reads a random checkpoint of the usual size. Values do not change the speed.
- x choi2017: median over rounds of the ratio within a round. Tools take turns, in the opposite
  order in every other round.
- Slow tools get fewer of the clips, always the first ones.
- torchvggish and panns_inference have no call for several files, musicnn none that keeps its model.
- Peak MB: resident memory of the process, summed over the process tree where there are children
  (sampled every 0.2 s). The rows on decoding include an imported torch, as mirfeat's do.
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, checked.

    Raises:
        OptionError: a number below what makes sense.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--environments", type=Path, required=True, metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, help="Markdown file of the tables")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long-rounds", type=int, default=1, help="rounds with the long file")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the long file")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--threads", type=int, help="for every tool; by default its own choice")
    parser.add_argument("--limit", type=float, default=90.0, help="seconds a process may take")
    parser.add_argument("--memory", type=float, help="GB it may take; by default 80 %% of the free")
    parser.add_argument("--tools", nargs="*", default=[""], help="parts of names; default: all")
    parser.add_argument("--torch", default="torch", help="requirement of torch for the peers")
    parser.add_argument("--python", default=sys.executable, help="for the peers; 3.9 to 3.11")
    options = parser.parse_args(arguments)
    for name in ("clips", "rounds", "minutes", "cores", "limit"):
        if getattr(options, name) <= 0:
            raise OptionError(f"--{name} {getattr(options, name)}: must be above 0.")
    if options.long_rounds < 0:
        raise OptionError(f"--long-rounds {options.long_rounds}: must be 0 or above.")
    return options


def make_clips(folder: Path, count: int, minutes: float, workers: int) -> tuple[list[Path], Path]:
    """Write ``count`` different clips of 30 s and one of ``minutes``, stereo mp3 at 192 kbit/s.

    All are cut from one loop of real music, each from another place and with another gain.
    """
    music = excerpt_loop(max(60.0 * minutes, 2 * CLIP_SECONDS), RATE)
    length = round(CLIP_SECONDS * RATE)
    starts = np.linspace(0, len(music) - length, count).astype(int)
    gains = np.random.default_rng(0).uniform(0.4, 1.0, count).astype(np.float32)
    paths = [folder / "clips" / f"clip{number:03d}.mp3" for number in range(count)]
    long_path = folder / f"{minutes:g} minutes.mp3"
    paths[0].parent.mkdir()

    with ThreadPoolExecutor(workers) as threads:
        # The long one first: it would otherwise keep one thread busy alone at the end.
        jobs = [threads.submit(write_mp3, long_path, music[: round(60 * minutes * RATE)], RATE)]
        for path, start, gain in zip(paths, starts, gains, strict=True):
            jobs.append(threads.submit(write_mp3, path, gain * music[start : start + length], RATE))
        for job in jobs:
            job.result()
    return paths, long_path


def take_turns(
    tools: Sequence[Tool],
    files: Sequence[Path],
    rounds: int,
    failures: dict[str, str],
    options: argparse.Namespace,
) -> dict[str, Rounds]:
    """Outcomes of each tool, one a round; tools whose environment failed have the failure."""
    memory = options.memory * 1e9 if options.memory else 0.8 * psutil.virtual_memory().available
    limits = Limits(options.limit, memory)
    outcomes: dict[str, list[Outcome]] = {tool.name: [] for tool in tools}
    for round_ in range(rounds):
        for tool in tools[:: -1 if round_ % 2 else 1]:
            mine = files[: tool.most_clips]
            if tool.environment in failures:
                outcome = Outcome(len(mine), failure=failures[tool.environment])
            elif round_ < tool.most_rounds and not _hopeless(outcomes[tool.name]):
                outcome = run(tool, options.environments, mine, limits, options.threads)
            else:
                continue
            outcomes[tool.name].append(outcome)
            state = outcome.failure or f"{outcome.seconds:.1f} s"
            print(f"round {round_ + 1}/{rounds}: {tool.name}: {state}", file=sys.stderr)
    return {name: list(found) for name, found in outcomes.items()}


def _hopeless(outcomes: Sequence[Outcome]) -> bool:
    """A tool that failed once is not waited for again."""
    return any(outcome.failure for outcome in outcomes)


def keep_to_cores(count: int) -> str:
    """Bind this process and those it starts to ``count`` cores; what came of it, in words."""
    if not hasattr(os, "sched_setaffinity"):
        return "all cores (this system cannot bind a process to some)"
    cores = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, cores)
    return f"bound to {len(cores)} cores"


def report(
    tools: Sequence[Tool],
    clips: dict[str, Rounds],
    long_file: dict[str, Rounds],
    bound: str,
    options: argparse.Namespace,
) -> str:
    """All that is printed, as Markdown."""
    text = io.StringIO()
    with redirect_stdout(text):
        print_machine()
        memory = psutil.virtual_memory().total / 1e9
        threads = options.threads or "each tool's default"
        print(f"{bound}, {memory:.0f} GB of memory; threads: {threads}")
        print_clips(tools, clips)
        if options.long_rounds:
            print_long(tools, long_file, options.minutes)
        print_versions(tools, clips)
        print(CAVEATS)
    return text.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, measure, print."""
    started = time.monotonic()
    options = parse(arguments)
    # Paths of interpreters must hold from other folders too.
    options.environments = options.environments.absolute()
    tools = select(options.tools)
    names = dict.fromkeys(tool.environment for tool in tools if tool.environment)
    failures = build(options.environments, names, options.torch, options.python)
    bound = keep_to_cores(options.cores)
    with tempfile.TemporaryDirectory() as folder:
        print("making the clips", file=sys.stderr)
        clips, long_path = make_clips(Path(folder), options.clips, options.minutes, options.cores)
        print(f"{time.monotonic() - started:.0f} s so far", file=sys.stderr)
        short = take_turns(tools, clips, options.rounds, failures, options)
        long_tools = [tool for tool in tools if tool.long_file]
        found = take_turns(long_tools, [long_path], options.long_rounds, failures, options)
    text = report(tools, short, found, bound, options)
    text += f"\nAll of it took {(time.monotonic() - started) / 60:.1f} minutes.\n"
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except OptionError as error:
        sys.exit(str(error))
