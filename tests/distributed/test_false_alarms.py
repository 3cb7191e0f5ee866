"""What Ray says without need is left out, and nothing else."""

import logging
import os
from io import StringIO

import pytest

from mirfeat.distributed.false_alarms import quiet_actors, quiet_tokens

ALARM = (
    b"[2026-01-01 E 1 1] core_worker.cc:2465: Actor with class name: 'x' has constructor "
    b"arguments in the object store and max_restarts > 0. If the arguments\n"
)


def test_the_line_about_actors_goes_and_all_others_pass(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet_actors():
        os.write(2, b"first\n" + ALARM[:40])
        os.write(2, ALARM[40:] + b"[a real error\n\r50%")
        os.write(2, b"\r100%")
    os.write(2, b"\nlast\n")
    assert capfd.readouterr().err == "first\n[a real error\n\r50%\r100%\nlast\n"


def test_a_run_that_breaks_off_leaves_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        with quiet_actors():
            os.write(2, b"[held")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    os.write(2, b" back\n")
    assert capfd.readouterr().err == "[held back\n"


def test_the_warning_about_tokens_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("ray._private.authentication.authentication_token_setup")
    said = StringIO()
    # Nobody else listens: where Ray was imported, its loggers have handlers of their own.
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(said)])
    monkeypatch.setattr(logger, "propagate", False)
    with quiet_tokens():
        logger.warning("Token authentication is enabled")
        logger.error("no token")
    logger.warning("later")
    assert said.getvalue() == "no token\nlater\n"
