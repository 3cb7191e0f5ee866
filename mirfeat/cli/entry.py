"""The entry of the command ``mirfeat``: streams, messages, and what exit codes say.

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
from collections.abc import Sequence

from mirfeat.cli.commands import COMMANDS
from mirfeat.cli.next_steps import next_steps
from mirfeat.cli.output import (
    ALL_FAILED,
    CHECKPOINT,
    INTERNAL,
    SOME_FAILED,
    USAGE,
    LineFormatter,
    results_alone,
    say_next,
    tell,
)
from mirfeat.cli.parser import get_parser
from mirfeat.cli.streams import replace_closed_streams, words_may_be_lost
from mirfeat.errors import AudioError, CheckpointError, ExtractionError, MirfeatError
from mirfeat.store import interrupts


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
    with words_may_be_lost(), results_alone():
        _set_up_messages(arguments.verbose, arguments.quiet)
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        with warnings.catch_warnings(), interrupts.all_like_ctrl_c():
            # Where in the code it arose says nothing here.
            warnings.showwarning = lambda text, *_: tell(f"mirfeat: {text}")
            code = COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
        if code in (0, SOME_FAILED) and not (arguments.quiet or arguments.json):
            say_next(*next_steps(arguments))
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
    from mirfeat.audio.addresses import without_secrets

    # URLs in it may hold passwords and signatures, names of files what a terminal obeys.
    for line in without_secrets(traceback.format_exc()).rstrip("\n").split("\n"):
        tell(line)


def _exit_code(error: Exception) -> int:
    if isinstance(error, ExtractionError):
        return ALL_FAILED
    if isinstance(error, AudioError):
        return SOME_FAILED
    return CHECKPOINT if isinstance(error, CheckpointError) else USAGE


def _set_up_messages(verbose: bool, quiet: bool) -> None:
    """Log lines as plain text on stderr."""
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("mirfeat: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("mirfeat").setLevel(level)
    # Told at the end of a run; as they come only to those who ask for more.
    logging.getLogger("mirfeat.failures").setLevel(level if verbose else logging.ERROR)
